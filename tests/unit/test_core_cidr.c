/* Networks as numbers: who has which address; and what the packet filter is told. */
#include "daemon/core/cidr.h"

#include <errno.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "daemon/core/netfirewall.h"
#include "daemon/core/netrules.h"
#include "tests/unit/unit.h"

static struct jd_cidr cidr(const char *text)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_cidr c;

    assert_int_equal(jd_cidr_parse("cidr", text, 30, &c, &e), 0);
    return c;
}

static void refused(const char *text, const char *why)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_cidr c;

    assert_int_equal(jd_cidr_parse("cidr", text, 30, &c, &e), -EINVAL);
    assert_non_null(strstr(e.text, why));
}

static void networks_are_canonical(void **state)
{
    char text[JD_CIDR_TEXT];
    struct jd_cidr c = cidr("10.100.0.0/24");

    (void) state;
    assert_int_equal(c.base, 0x0a640000);
    assert_int_equal(c.prefix, 24);
    assert_string_equal(jd_cidr_text(&c, text), "10.100.0.0/24");
    cidr("10.0.0.0/8");
    cidr("192.168.1.4/30");
    refused("10.100.0.1/24", "do you mean 10.100.0.0/24");
    refused("10.0.0.0/7", "/8 to /30");
    refused("10.0.0.0/31", "/8 to /30");
    refused("10.0.0.0/33", "no IPv4 network");
    refused("10.0.0.0", "no IPv4 network");
    refused("10.0.0/24", "no IPv4 network");
    refused("10.0.0.256/24", "no IPv4 network");
    refused("010.0.0.0/8", "no IPv4 network");
    refused("10.0.0.0/08", "no IPv4 network");
    refused("10.0.0.0/8 ", "no IPv4 network");
    refused("::/8", "no IPv4 network");
    refused("127.0.0.0/8", "loopback");
    refused("169.254.0.0/16", "link-local");
    refused("224.0.0.0/8", "multicast");
    refused("0.0.0.0/8", "holds the addresses of no network");
    refused("100.100.100.0/24", "metadata service");
    refused("168.63.129.0/24", "metadata service");
    refused("192.0.0.0/16", "192.0.0.192");
    refused("240.0.0.0/8", "reserved");
}

static void overlaps_are_seen(void **state)
{
    struct jd_cidr wide = cidr("10.0.0.0/8"), inner = cidr("10.5.0.0/16");
    struct jd_cidr next = cidr("11.0.0.0/8");

    (void) state;
    assert_true(jd_cidr_overlap(&wide, &inner));
    assert_true(jd_cidr_overlap(&inner, &wide));
    assert_true(jd_cidr_overlap(&inner, &inner));
    assert_false(jd_cidr_overlap(&wide, &next));
    assert_true(jd_cidr_has(&wide, 0x0affffff));
    assert_false(jd_cidr_has(&wide, 0x0b000000));
}

static void addresses_come_in_order_and_again(void **state)
{
    struct jd_cidr c = cidr("10.1.0.0/29"); /* .2 to .6 */
    struct jd_places p;
    uint32_t addr;

    (void) state;
    jd_places_init(&p, &c, 1);
    for (uint32_t i = 2; i <= 6; i++) {
        assert_int_equal(jd_places_take(&p, &addr), 0);
        assert_int_equal(addr, c.base + i);
        assert_int_equal(jd_places_gateway(&p, addr), c.base + 1);
    }
    assert_int_equal(jd_places_take(&p, &addr), -ENOSPC);
    jd_places_give(&p, c.base + 3);
    assert_false(jd_places_has(&p, c.base + 3));
    assert_int_equal(jd_places_take(&p, &addr), 0);
    assert_int_equal(addr, c.base + 3);
    jd_places_give(&p, c.base + 2);
    jd_places_give(&p, c.base + 4);
    assert_int_equal(jd_places_take(&p, &addr), 0);
    assert_int_equal(addr, c.base + 4); /* the one after the last, not the one that went first */
    assert_int_equal(jd_places_take_this(&p, c.base + 1), -ERANGE);
    assert_int_equal(jd_places_take_this(&p, c.base + 7), -ERANGE);
    assert_int_equal(jd_places_take_this(&p, c.base + 8), -ERANGE);
    jd_places_done(&p);
}

static void a_bridge_has_no_more_ports(void **state)
{
    struct jd_cidr c = cidr("10.0.0.0/8");
    struct jd_places p;
    uint32_t addr;

    (void) state;
    jd_places_init(&p, &c, 1);
    for (int i = 0; i < 1023; i++) {
        assert_false(jd_places_full(&p));
        assert_int_equal(jd_places_take(&p, &addr), 0);
    }
    assert_true(jd_places_full(&p));
    assert_int_equal(jd_places_take(&p, &addr), -ENOSPC);
    assert_int_equal(jd_places_take_this(&p, addr), 0); /* counted once */
    jd_places_give(&p, addr);
    assert_false(jd_places_full(&p));
    assert_int_equal(jd_places_take(&p, &addr), 0);
    jd_places_done(&p);
}

static void blocks_of_four_are_for_isolated_jobs(void **state)
{
    struct jd_cidr c = cidr("10.255.0.0/28");
    struct jd_places p;
    uint32_t addr;

    (void) state;
    jd_places_init(&p, &c, 4);
    assert_int_equal(jd_places_take_this(&p, c.base + 6), 0);
    assert_int_equal(jd_places_take_this(&p, c.base + 5), -ERANGE);
    assert_int_equal(jd_places_take(&p, &addr), 0);
    assert_int_equal(addr, c.base + 2);
    assert_int_equal(jd_places_gateway(&p, addr), c.base + 1);
    assert_int_equal(jd_places_take(&p, &addr), 0);
    assert_int_equal(addr, c.base + 10);
    assert_int_equal(jd_places_take(&p, &addr), 0);
    assert_int_equal(addr, c.base + 14);
    assert_int_equal(jd_places_take(&p, &addr), -ENOSPC);
    jd_places_done(&p);
}

static void devices_name_their_address(void **state)
{
    struct jd_net_lease l = { .addr = 0xac140002 };
    char name[JD_NETDEV_MAX];
    uint32_t addr;

    (void) state;
    assert_string_equal(jd_net_device("1a2b3", &l, name), "jv1a2b3ac140002");
    assert_true(jd_net_device_parse("1a2b3", name, &addr));
    assert_int_equal(addr, 0xac140002);
    assert_false(jd_net_device_parse("1a2b4", name, &addr));
    assert_false(jd_net_device_parse("1a2b3", "jv1a2b3ac14000", &addr));
    assert_false(jd_net_device_parse("1a2b3", "jv1a2b3ac14000g", &addr));
    assert_false(jd_net_device_parse("1a2b3", "eth0", &addr));
    l.isolated = true;
    assert_string_equal(jd_net_device("1a2b3", &l, name), "ji1a2b3ac140002");
}

static void rules_name_jobs_and_go_again(void **state)
{
    struct jd_net_lease l[2] = { { .addr = 0xac140002 }, { .addr = 0x0aff0002, .isolated = true } };
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);

    (void) state;
    assert_int_equal(jd_net_rules_jobs(&b, "1a2b3", true, l, 2), 0);
    assert_int_equal(jl_buf_putc(&b, '\0'), 0);
    assert_string_equal(b.data, "add element bridge joblet_1a2b3 ports { \"jv1a2b3ac140002\" . "
                                "02:4a:ac:14:00:02 . 172.20.0.2 }\n"
                                "add element inet joblet_1a2b3 on_bridge { 172.20.0.2 }\n"
                                "add element inet joblet_1a2b3 isolated { \"ji1a2b30aff0002\" . "
                                "10.255.0.2 }\n");
    jl_buf_clear(&b);
    assert_int_equal(jd_net_rules_jobs(&b, "1a2b3", false, l, 1), 0);
    assert_int_equal(jl_buf_putc(&b, '\0'), 0);
    assert_non_null(strstr(b.data, "delete element bridge joblet_1a2b3 ports"));
}

static void clients_get_private_addresses(void **state)
{
    static const char *const good[] = { "10.0.0.0/8", "172.31.0.0/16", "192.168.0.0/16",
                                        "100.64.0.0/24", "198.19.255.0/24" };
    static const char *const bad[] = { "8.8.8.0/24",   "172.32.0.0/16",  "192.169.0.0/16",
                                       "172.0.0.0/8",  "100.128.0.0/16", "203.0.113.0/24",
                                       "198.20.0.0/16" };
    struct jl_err e = JL_ERR_INIT;
    struct jd_cidr c;

    (void) state;
    for (size_t i = 0; i < JL_COUNT(good); i++) {
        c = cidr(good[i]);
        assert_int_equal(jd_cidr_check_private("cidr", &c, &e), 0);
    }
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        c = cidr(bad[i]);
        assert_int_equal(jd_cidr_check_private("cidr", &c, &e), -EINVAL);
        assert_non_null(strstr(e.text, "within 10.0.0.0/8"));
    }
}

static void all_rules(struct jl_buf *b, bool refused, size_t n_leases)
{
    const struct jd_net_def nets[] = {
        { .name = "bridge",
          .bridge = "joblet0",
          .cidr = cidr("172.20.0.0/16"),
          .refused = refused },
        { .name = "isolated", .cidr = cidr("10.255.0.0/16"), .refused = refused },
    };
    const struct jd_net_lease leases[] = { { .addr = 0xac140002, .bridge = "joblet0" },
                                           { .addr = 0x0aff0002, .isolated = true } };
    const uint32_t dns[] = { 0x08080808, 0x0affff35 };
    const struct jd_net_all all = { .instance = "1a2b3",
                                    .nets = nets,
                                    .n_nets = 2,
                                    .leases = leases,
                                    .n_leases = n_leases,
                                    .dns = dns,
                                    .n_dns = 1,
                                    .n_host_dns = 1,
                                    .first_port = 20000 };

    jl_buf_clear(b);
    assert_int_equal(jd_net_rules(b, &all), 0);
    assert_int_equal(jl_buf_putc(b, '\0'), 0);
}

static void a_refused_network_has_no_more_addresses_than_its_jobs(void **state)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);

    (void) state;
    all_rules(&b, false, 0);
    assert_non_null(strstr(b.data, "iifname != { \"joblet0\", \"ji1a2b3*\" } ip saddr "
                                   "{ 172.20.0.0/16, 10.255.0.0/16 } drop"));
    assert_non_null(strstr(b.data, "ip saddr { 172.20.0.0/16 } oifname != \"joblet0\" meta l4proto "
                                   "{ tcp, udp, sctp } masquerade to :20000-29999\n"));
    assert_non_null(
        strstr(b.data, "ip saddr { 10.255.0.0/16 } oifname != \"ji1a2b3*\" masquerade\n"));
    /* a name server that has an address of the pool is heard */
    assert_non_null(strstr(b.data, "ip saddr 10.255.255.53 accept\n"));
    all_rules(&b, true, 0);
    assert_null(strstr(b.data, "172.20."));
    assert_null(strstr(b.data, "10.255.0."));
    assert_null(strstr(b.data, "masquerade"));
    assert_non_null(strstr(b.data, "iifname { \"joblet0\", \"ji1a2b3*\" } jump to_host"));
    all_rules(&b, true, 2);
    assert_null(strstr(b.data, "172.20.0.0/16"));
    assert_null(strstr(b.data, "10.255.0.0/16"));
    assert_non_null(strstr(b.data, "ip saddr { 172.20.0.2, 10.255.0.2 } drop"));
    assert_non_null(strstr(b.data, "ip saddr { 172.20.0.2 } oifname != \"joblet0\" masquerade"));
}

static void ports_of_jobs_are_none_of_the_hosts(void **state)
{
    (void) state;
    assert_int_equal(jd_net_first_port(32768, 60999), 20000);
    assert_int_equal(jd_net_first_port(30000, 65535), 20000);
    assert_int_equal(jd_net_first_port(29999, 65535), 10000);
    assert_int_equal(jd_net_first_port(15000, 25000), 30000);
    assert_int_equal(jd_net_first_port(1024, 49999), 50000);
    assert_int_equal(jd_net_first_port(1024, 65535), 20000);
}

static void names_of_networks(void **state)
{
    static const char *const bad[] = { "", "-a", "a-", "a_b", "a.b", "none", "host", "a b" };
    struct jl_err e = JL_ERR_INIT;
    char longest[65];

    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(jd_net_check_name(bad[i], &e), -EINVAL);
    memset(longest, 'a', 64);
    longest[64] = '\0';
    assert_int_equal(jd_net_check_name(longest, &e), -EINVAL);
    assert_int_equal(jd_net_check_name(longest + 1, &e), 0);
    assert_int_equal(jd_net_check_name("a", &e), 0);
    assert_int_equal(jd_net_check_name("My-net-2", &e), 0);
}

static void firewalls_that_drop_by_default_are_found(void **state)
{
    static const char text[] =
        "table ip nat {\n\tchain POSTROUTING {\n\t\ttype nat hook postrouting "
        "priority srcnat; policy accept;\n\t}\n\tchain DOCKER {\n\t}\n}\n"
        "table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input "
        "priority filter; policy drop;\n\t}\n\tchain FORWARD {\n\t\ttype "
        "filter hook forward priority filter; policy drop;\n\t}\n}\n"
        "table ip6 filter {\n\tchain FORWARD {\n\t\ttype filter hook "
        "forward priority filter; policy drop;\n\t}\n}\n"
        "table inet joblet_12345 {\n\tchain forward {\n\t\ttype filter "
        "hook forward priority 0; policy drop;\n\t}\n}\n"
        "table inet mine {\n\tchain a {\n\t\ttype filter hook forward "
        "priority 0; policy drop;\n\t}\n\tchain b {\n\t\ttype filter "
        "hook forward priority 1; policy drop;";
    struct jd_firewall f = { .family = "" };
    const char *at = text;

    (void) state;
    assert_true(jd_firewall_next(&at, &f));
    assert_string_equal(f.family, "ip");
    assert_string_equal(f.table, "filter");
    assert_string_equal(f.chain, "FORWARD");
    assert_true(jd_firewall_next(&at, &f));
    assert_string_equal(f.table, "mine");
    assert_string_equal(f.chain, "a");
    assert_true(jd_firewall_next(&at, &f));
    assert_string_equal(f.table, "mine");
    assert_string_equal(f.chain, "b");
    assert_false(jd_firewall_next(&at, &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_canonical),
        cmocka_unit_test(overlaps_are_seen),
        cmocka_unit_test(addresses_come_in_order_and_again),
        cmocka_unit_test(a_bridge_has_no_more_ports),
        cmocka_unit_test(blocks_of_four_are_for_isolated_jobs),
        cmocka_unit_test(devices_name_their_address),
        cmocka_unit_test(rules_name_jobs_and_go_again),
        cmocka_unit_test(clients_get_private_addresses),
        cmocka_unit_test(a_refused_network_has_no_more_addresses_than_its_jobs),
        cmocka_unit_test(ports_of_jobs_are_none_of_the_hosts),
        cmocka_unit_test(names_of_networks),
        cmocka_unit_test(firewalls_that_drop_by_default_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
