/* What the kernel tells of iptables-legacy's rules: os/iptables.h. The table is put together here as
 * iptables does it; tests/e2e/network.bats reads a real one. */
#include "unit.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stdio.h>
#include <string.h>

#include "os/iptables.h"

struct rule {
    struct ipt_entry entry;
    struct xt_standard_target target;
};

/* in, out: as on the command line, "" for any. */
static struct rule rule_of(const char *in, const char *out, int verdict)
{
    struct rule r;
    char *const names[] = { r.entry.ip.iniface, r.entry.ip.outiface };
    unsigned char *const masks[] = { r.entry.ip.iniface_mask, r.entry.ip.outiface_mask };
    const char *const words[] = { in, out };

    memset(&r, 0, sizeof r);
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(words[i]);

        if (len == 0)
            continue;
        memcpy(names[i], words[i], len);
        memset(masks[i], 0xff, words[i][len - 1] == '+' ? len - 1 : len + 1);
    }
    r.entry.target_offset = sizeof r.entry;
    r.entry.next_offset = sizeof r;
    r.target.target.u.user.target_size = sizeof r.target;
    r.target.verdict = verdict;
    return r;
}

static void a_policy_and_the_devices_of_rules(void **state)
{
    const struct rule rules[] = { rule_of("joblet0", "", -NF_ACCEPT - 1),
                                  rule_of("", "ji12+", -NF_DROP - 1),
                                  rule_of("joblet0", "+", -NF_DROP - 1),
                                  rule_of("a-name-of-15-by", "", -NF_ACCEPT - 1),
                                  rule_of("", "", -NF_DROP - 1) };
    struct os_iptables_filter f;

    (void) state;
    assert_int_equal(os_iptables_parse(rules, sizeof rules, 4 * sizeof *rules, &f), 0);
    assert_true(f.forward_drops);
    assert_int_equal(f.n_devices, 3);
    assert_string_equal(f.devices[0].name, "joblet0");
    assert_false(f.devices[0].prefix);
    assert_string_equal(f.devices[1].name, "ji12");
    assert_true(f.devices[1].prefix);
    assert_string_equal(f.devices[2].name, "a-name-of-15-by");
    assert_false(f.devices[2].prefix);
    os_iptables_done(&f);
}

static void a_policy_that_accepts(void **state)
{
    const struct rule rules[] = { rule_of("", "", -NF_DROP - 1), /* INPUT's */
                                  rule_of("", "", -NF_ACCEPT - 1) };
    struct os_iptables_filter f;

    (void) state;
    assert_int_equal(os_iptables_parse(rules, sizeof rules, sizeof *rules, &f), 0);
    assert_false(f.forward_drops);
    assert_int_equal(f.n_devices, 0);
    os_iptables_done(&f);
}

static void rules_that_do_not_fit_are_refused(void **state)
{
    struct rule rules[] = { rule_of("eth0", "", -NF_DROP - 1), rule_of("", "", -NF_DROP - 1) };
    struct os_iptables_filter f;

    (void) state;
    for (size_t len = 1; len < sizeof rules; len++) {
        assert_int_equal(os_iptables_parse(rules, len, 0, &f), len == sizeof *rules ? 0 : -EINVAL);
        os_iptables_done(&f);
    }
    rules[0].entry.next_offset = 0;
    assert_int_equal(os_iptables_parse(rules, sizeof rules, 0, &f), -EINVAL);
    os_iptables_done(&f);
}

UNIT_MAIN(cmocka_unit_test(a_policy_and_the_devices_of_rules),
          cmocka_unit_test(a_policy_that_accepts),
          cmocka_unit_test(rules_that_do_not_fit_are_refused))
