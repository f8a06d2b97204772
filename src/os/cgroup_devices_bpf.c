/*
 * cgroup_devices_bpf.c - device rules on v2: a program of our own for each list of rules, attached
 * to the group's directory. The kernel runs it at every open and mknod of a device node inside.
 * uapi/linux/bpf.h: BPF_PROG_TYPE_CGROUP_DEVICE, struct bpf_cgroup_dev_ctx.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/cgroup_internal.h"

#define PROG_NAME "joblet_dev"
#define PROGS_MAX 64 /* the kernel's BPF_CGROUP_MAX_PROGS */

/* What each register holds all along. r0 is the verdict, r1 the context until it has been read. */
enum { R_VERDICT = 0, R_CTX = 1, R_LEFT = 2, R_TYPE = 3, R_MAJOR = 4, R_MINOR = 5, R_TMP = 6 };

#define INSN(c, d, s, o, i)                                                                        \
    ((struct bpf_insn){                                                                            \
        .code = (c), .dst_reg = (d), .src_reg = (s), .off = (int16_t) (o), .imm = (int32_t) (i) })

static void emit(struct cg_bpf *p, struct bpf_insn insn)
{
    p->insn[p->n++] = insn;
}

static void emit_load(struct cg_bpf *p, int reg, size_t offset)
{
    emit(p, INSN(BPF_LDX | BPF_W | BPF_MEM, reg, R_CTX, offset, 0));
}

static void emit_return(struct cg_bpf *p, int verdict)
{
    emit(p, INSN(BPF_ALU64 | BPF_MOV | BPF_K, R_VERDICT, 0, 0, verdict));
    emit(p, INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

/*
 * access_type has the type in its lower half and what is wanted in its upper: mknod 1, read 2,
 * write 4, in which OCI's order of bits (r 1, w 2, m 4) differs.
 */
static unsigned kernel_access(unsigned access)
{
    return (access & 1 ? (unsigned) BPF_DEVCG_ACC_READ : 0) |
           (access & 2 ? (unsigned) BPF_DEVCG_ACC_WRITE : 0) |
           (access & 4 ? (unsigned) BPF_DEVCG_ACC_MKNOD : 0);
}

/*
 * One rule. A device that it does not name jumps over it. A deny decides when it has one of the
 * accesses that are left to decide; an allow takes its accesses off, and decides when none is left.
 */
static void emit_rule(struct cg_bpf *p, const struct os_cgroup_device_rule *r)
{
    unsigned jumps[3], n = 0, access = kernel_access(r->access);

    if (r->type != 'a') {
        jumps[n++] = p->n;
        emit(p, INSN(BPF_JMP32 | BPF_JNE | BPF_K, R_TYPE, 0, 0,
                     r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
    }
    if (r->major != -1) {
        jumps[n++] = p->n;
        emit(p, INSN(BPF_JMP32 | BPF_JNE | BPF_K, R_MAJOR, 0, 0, r->major));
    }
    if (r->minor != -1) {
        jumps[n++] = p->n;
        emit(p, INSN(BPF_JMP32 | BPF_JNE | BPF_K, R_MINOR, 0, 0, r->minor));
    }
    if (r->allow) {
        emit(p, INSN(BPF_ALU | BPF_AND | BPF_K, R_LEFT, 0, 0, ~access));
        emit(p, INSN(BPF_JMP32 | BPF_JNE | BPF_K, R_LEFT, 0, 2, 0));
    } else {
        emit(p, INSN(BPF_ALU | BPF_MOV | BPF_X, R_TMP, R_LEFT, 0, 0));
        emit(p, INSN(BPF_ALU | BPF_AND | BPF_K, R_TMP, 0, 0, access));
        emit(p, INSN(BPF_JMP32 | BPF_JEQ | BPF_K, R_TMP, 0, 2, 0));
    }
    emit_return(p, r->allow);
    while (n > 0) {
        n--;
        p->insn[jumps[n]].off = (int16_t) (p->n - jumps[n] - 1);
    }
}

void cg_devices_to_bpf(const struct os_cgroup_device_rule *rules, size_t n, struct cg_bpf *ret)
{
    bool decided = false;

    ret->n = 0;
    emit_load(ret, R_LEFT, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    emit(ret, INSN(BPF_ALU | BPF_MOV | BPF_X, R_TYPE, R_LEFT, 0, 0));
    emit(ret, INSN(BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff));
    emit(ret, INSN(BPF_ALU | BPF_RSH | BPF_K, R_LEFT, 0, 0, 16));
    emit_load(ret, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
    emit_load(ret, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
    for (size_t i = n; i > 0 && !decided; i--) {
        const struct os_cgroup_device_rule *r = &rules[i - 1];

        decided = r->type == 'a' && r->access == 7;
        if (decided) /* the verifier refuses what can't be reached, so the list ends here */
            emit_return(ret, r->allow);
        else
            emit_rule(ret, r);
    }
    if (!decided)
        emit_return(ret, 0);
}

static int bpf(int cmd, union bpf_attr *attr)
{
    long r;

    do
        r = syscall(SYS_bpf, cmd, attr, sizeof *attr);
    while (r < 0 && errno == EAGAIN); /* a signal came while it was verified */
    return (int) r;
}

static int fail_bpf(const char *what, const char *path, struct jl_err *e)
{
    int code = errno;

    jl_fail_sys(e, "bpf", what, "device rules of cgroup %s", path);
    if (code == EPERM || code == EACCES)
        jl_hint(e,
                "needs root (CAP_SYS_ADMIN or CAP_BPF with CAP_NET_ADMIN); before Linux 5.11 also "
                "a larger RLIMIT_MEMLOCK");
    else if (code == EINVAL || code == ENOSYS)
        jl_hint(e, "the kernel needs CONFIG_CGROUP_BPF");
    return -code;
}

/* Loads the program: descriptor or -errno with e filled. The instructions are checked by the
 * kernel; a refusal's own words are short, so they go along. */
static int load(const struct cg_bpf *p, const char *path, struct jl_err *e)
{
    union bpf_attr attr;
    int fd;

    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uintptr_t) p->insn;
    attr.insn_cnt = (uint32_t) p->n;
    attr.license = (uintptr_t) "MIT";
    memcpy(attr.prog_name, PROG_NAME, sizeof PROG_NAME);
    fd = bpf(BPF_PROG_LOAD, &attr);
    return fd < 0 ? fail_bpf("load", path, e) : fd;
}

static int query(int cg_fd, uint32_t *ids, uint32_t *n)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof attr);
    attr.query.target_fd = (uint32_t) cg_fd;
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    attr.query.prog_ids = (uintptr_t) ids;
    attr.query.prog_cnt = *n;
    if (bpf(BPF_PROG_QUERY, &attr) < 0)
        return -errno;
    *n = attr.query.prog_cnt;
    return 0;
}

static int open_prog(uint32_t id, struct bpf_prog_info *info)
{
    _close_ int fd = -1;
    union bpf_attr attr;

    memset(&attr, 0, sizeof attr);
    attr.prog_id = id;
    fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
    if (fd < 0)
        return -errno;
    memset(&attr, 0, sizeof attr);
    memset(info, 0, sizeof *info);
    attr.info.bpf_fd = (uint32_t) fd;
    attr.info.info_len = sizeof *info;
    attr.info.info = (uintptr_t) info;
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0)
        return -errno;
    return jl_take_fd(&fd);
}

/* Takes our older programs off. The new one is on already, so there is no moment without rules; a
 * program that somebody else attached stays. */
static int detach_older(int cg_fd, const uint32_t *ids, uint32_t n, const char *path,
                        struct jl_err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        struct bpf_prog_info info;
        _close_ int fd = open_prog(ids[i], &info);
        union bpf_attr attr;

        if (fd < 0 || strcmp(info.name, PROG_NAME) != 0)
            continue;
        memset(&attr, 0, sizeof attr);
        attr.target_fd = (uint32_t) cg_fd;
        attr.attach_bpf_fd = (uint32_t) fd;
        attr.attach_type = BPF_CGROUP_DEVICE;
        if (bpf(BPF_PROG_DETACH, &attr) < 0 && errno != ENOENT)
            return fail_bpf("detach the older rules", path, e);
    }
    return 0;
}

/* Reading back: the id of what we loaded is among those attached to the group. */
static int check_attached(int cg_fd, int prog, const char *path, struct jl_err *e)
{
    uint32_t ids[PROGS_MAX], n = PROGS_MAX;
    struct bpf_prog_info info;
    union bpf_attr attr;
    int r = query(cg_fd, ids, &n);

    if (r < 0)
        return fail_bpf("query", path, e);
    memset(&attr, 0, sizeof attr);
    memset(&info, 0, sizeof info);
    attr.info.bpf_fd = (uint32_t) prog;
    attr.info.info_len = sizeof info;
    attr.info.info = (uintptr_t) &info;
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0)
        return fail_bpf("look at the rules", path, e);
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == info.id)
            return 0;
    return jl_refuse(
        e, EIO, "device rules of cgroup %s: attached, but the kernel does not list them", path);
}

int cg_devices_attach(int cg_fd, const char *path, const struct os_cgroup_device_rule *rules,
                      size_t n, struct jl_err *e)
{
    _free_ struct cg_bpf *program = malloc(sizeof *program);
    uint32_t older[PROGS_MAX], n_older = PROGS_MAX;
    _close_ int fd = -1;
    union bpf_attr attr;
    int r;

    if (!program)
        return jl_fail(e, ENOMEM, "device rules");
    cg_devices_to_bpf(rules, n, program);
    fd = load(program, path, e);
    if (fd < 0)
        return fd;
    if (query(cg_fd, older, &n_older) < 0)
        return fail_bpf("query", path, e);
    memset(&attr, 0, sizeof attr);
    attr.target_fd = (uint32_t) cg_fd;
    attr.attach_bpf_fd = (uint32_t) fd;
    attr.attach_type = BPF_CGROUP_DEVICE;
    attr.attach_flags = BPF_F_ALLOW_MULTI; /* all of them must agree: ours and those above it */
    if (bpf(BPF_PROG_ATTACH, &attr) < 0)
        return fail_bpf("attach", path, e);
    r = detach_older(cg_fd, older, n_older, path, e);
    return r < 0 ? r : check_attached(cg_fd, fd, path, e);
}
