# net_attempt.py HOST GATEWAY OTHER PORT: what a job tries to do with its network, one line each:
# "NAME: " and the answer that came, or the error. Without capabilities, as every job.
import ctypes, errno, fcntl, os, socket, struct, sys

host, gateway, other, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
AF_NETLINK, ETH_P_ALL = 16, 3


def say(name, attempt):
    try:
        said = attempt()
    except socket.timeout:
        said = "nothing"
    except OSError as e:
        said = errno.errorcode.get(e.errno, str(e))
    print(f"{name}: {said}", flush=True)


def tcp(address, at=port, family=socket.AF_INET):
    def attempt():
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(1)
            s.connect((address, at))
            return s.recv(100).decode().strip() or "closed"
    return attempt


def udp(address, at=port, family=socket.AF_INET, source=None, options=()):
    def attempt():
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.settimeout(0.3)
            for level, name, value in options:
                s.setsockopt(level, name, value)
            if source:
                s.bind((source, 0))
            s.sendto(b"from a job", (address, at))
            return s.recv(100).decode().strip()
    return attempt


def option(level, name, value):
    return lambda: socket.socket().setsockopt(level, name, value) or "set"


def opened(*arguments):
    return lambda: socket.socket(*arguments) and "opened"


def ioctl(number, address="10.9.9.9", flags=None):
    def attempt():
        rest = struct.pack("H", flags) if flags is not None else struct.pack("HH4s", 2, 0, socket.inet_aton(address))
        fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), number, b"eth0".ljust(16, b"\0") + rest.ljust(24, b"\0"))
        return "done"
    return attempt


# A request of rtnetlink, or of another netlink protocol; what the kernel answers.
def route(kind, body, flags=0x5, protocol=0):
    def attempt():
        with socket.socket(AF_NETLINK, socket.SOCK_RAW, protocol) as s:
            s.settimeout(1)
            s.send(struct.pack("IHHII", 16 + len(body), kind, flags, 1, 0) + body)
            answer = s.recv(4096)
            code = struct.unpack_from("i", answer, 16)[0]
            return errno.errorcode.get(-code, code) if struct.unpack_from("H", answer, 4)[0] == 2 else "answered"
    return attempt


index = socket.if_nametoindex("eth0")
address = struct.pack("BBBBI", 2, 16, 0, 0, index) + struct.pack("HH4sHH4s", 8, 1, b"\x0a\x09\x09\x09", 8, 2, b"\x0a\x09\x09\x09")
qdisc = struct.pack("BxxxiIII", 0, index, 0, 0xFFFFFFFF, 0)
link = struct.pack("BxHiII", 0, 0, index, 0, 1)

say("tcp_host", tcp(host))
say("tcp_gateway", tcp(gateway))
say("tcp_other_network", tcp(other))
say("tcp_metadata", tcp("169.254.169.254", 80))
say("tcp_metadata_alibaba", tcp("100.100.100.200", 80))
say("tcp_loopback", tcp("127.0.0.1"))
say("tcp_any", tcp("0.0.0.0"))
say("tcp_mapped", tcp("::ffff:" + host, port, socket.AF_INET6))
say("tcp_six_link_local", lambda: tcp("fe80::1%eth0", port, socket.AF_INET6)())
say("tcp_six_all_nodes", udp("ff02::1%eth0", port, socket.AF_INET6))
say("tcp_six_loopback", tcp("::1", port, socket.AF_INET6))
say("udp_host", udp(host))
say("udp_gateway", udp(gateway))
say("udp_metadata", udp("169.254.169.254", 80))
say("udp_broadcast", udp("255.255.255.255", options=[(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)]))
say("udp_multicast", udp("224.0.0.251"))
say("udp_foreign_source", udp("198.51.100.7", 9999, source="10.66.6.6", options=[(socket.IPPROTO_IP, 15, 1)]))  # IP_FREEBIND
say("source_route", udp(host, options=[(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x83\x07\x04" + socket.inet_aton(host) + b"\x00")]))
say("transparent", option(socket.IPPROTO_IP, 19, 1))
say("mark", option(socket.SOL_SOCKET, 36, 1))
say("raw", opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
say("raw_header", opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
say("raw_six", opened(socket.AF_INET6, socket.SOCK_RAW, 58))
say("packet", opened(17, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
say("netfilter", route(0xA01, bytes(4), protocol=12))
say("add_address", route(20, address, 0x605))
say("remove_rate", route(37, qdisc))
say("change_link", route(19, link))
say("set_address", ioctl(0x8916))
say("set_down", ioctl(0x8914, flags=0))
say("forwarding", lambda: open("/proc/sys/net/ipv4/ip_forward", "w").write("1") and "written")
say("six_on", lambda: open("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "w").write("0") and "written")
say("outside", tcp("198.51.100.7", 80))
