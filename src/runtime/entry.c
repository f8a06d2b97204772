/*
 * entry.c - the very first instructions of a static joblet-run, before the C library's own start.
 *
 * A verb that enters a container must run from where nobody can write this program (os/selfexe.h),
 * which means to execute it twice. Most of what an execution costs is the C library's start: it asks the
 * processor what it is with dozens of CPUID instructions, and in a virtual machine each of them
 * traps; half a millisecond, a tenth of a whole `run`. So the first execution prepares the second
 * with plain system calls right here and never gets that far.
 *
 * Nothing of the C library works yet: no thread-local storage (hence no stack protector), no
 * memcpy (an indirect function that is not resolved), no errno. Whatever fails here is left to
 * main(), which looks again and reports.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <linux/mount.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/statvfs.h> /* ST_RDONLY, which only musl has in sys/vfs.h */
#include <sys/syscall.h>
#include <sys/vfs.h>

#if defined __x86_64__ || defined __aarch64__

#define EARLY __attribute__((no_stack_protector, used))

#ifdef __x86_64__
/* The kernel's stack: argc, argv, NULL, envp, NULL. It is handed on as it was found. */
__asm__(".text\n.globl rt_entry\n.type rt_entry, @function\n"
        "rt_entry:\n"
        "    mov %rdx, %rbx\n" /* what _start expects in rdx */
        "    mov %rsp, %rdi\n"
        "    mov %rsp, %rbp\n"
        "    and $-16, %rsp\n"
        "    call rt_entry_seal\n"
        "    mov %rbp, %rsp\n"
        "    mov %rbx, %rdx\n"
        "    xor %ebp, %ebp\n"
        "    jmp _start\n");

EARLY static inline long call(long n, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return ret;
}
#else
__asm__(".text\n.globl rt_entry\n.type rt_entry, %function\n"
        "rt_entry:\n"
        "    mov x19, x0\n" /* what _start expects in x0 */
        "    mov x0, sp\n"
        "    bl rt_entry_seal\n"
        "    mov x0, x19\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    b _start\n");

EARLY static inline long call(long n, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define MFD_WITH_EXEC 0x0010 /* MFD_EXEC, Linux 6.3 */

void rt_entry_seal(const long *stack);

/* The linker's: our own ELF header in memory. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

EARLY static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Whether one of these words is there; where it stands is main()'s business, and an execution too
 * many costs time only. */
EARLY static int wants_seal(long argc, char **argv)
{
    for (long i = 1; i < argc; i++)
        if (same(argv[i], "run") || same(argv[i], "create") || same(argv[i], "exec"))
            return 1;
    return 0;
}

/* Where the last loadable segment ends in the file: symbols and debug information behind it, as
 * much again in a build that is not stripped, need no copy. */
EARLY static long loadable_bytes(void)
{
    const ElfW(Ehdr) *head = &__ehdr_start;
    const ElfW(Phdr) *seg = (const ElfW(Phdr) *) ((const char *) head + head->e_phoff);
    uint64_t end = 0;

    for (int i = 0; i < head->e_phnum; i++)
        if (seg[i].p_type == PT_LOAD && seg[i].p_offset + seg[i].p_filesz > end)
            end = seg[i].p_offset + seg[i].p_filesz;
    return (long) end;
}

/* Whether we run from the root of a read-only mount that is attached nowhere; os/selfexe.h. */
EARLY static int is_on_readonly_mount(void)
{
    const char *exe = "/proc/self/exe";
    struct statfs fs;
    char path[2];

    return call(SYS_readlinkat, AT_FDCWD, (long) exe, (long) path, sizeof path, 0) == 1 &&
           call(SYS_statfs, (long) exe, (long) &fs, 0, 0, 0) == 0 && (fs.f_flags & ST_RDONLY);
}

EARLY static void exec_on_readonly_mount(char **argv, char **envp)
{
    struct mount_attr readonly;
    long tree = call(SYS_open_tree, AT_FDCWD, (long) "/proc/self/exe",
                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, 0, 0);

    if (tree < 0)
        return;
    readonly.attr_set = MOUNT_ATTR_RDONLY;
    readonly.attr_clr = readonly.propagation = readonly.userns_fd = 0;
    if (call(SYS_mount_setattr, tree, (long) "", AT_EMPTY_PATH, (long) &readonly,
             sizeof readonly) == 0)
        call(SYS_execveat, tree, (long) "", (long) argv, (long) envp, AT_EMPTY_PATH);
    call(SYS_close, tree, 0, 0, 0, 0);
}

EARLY static long new_memory_file(void)
{
    long fd = call(SYS_memfd_create, (long) "joblet-run",
                   MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_WITH_EXEC, 0, 0, 0);

    return fd >= 0 ? fd
                   : call(SYS_memfd_create, (long) "joblet-run", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0,
                          0, 0);
}

EARLY static void exec_sealed_copy(long self, char **argv, char **envp)
{
    long n, left = loadable_bytes(), copy = new_memory_file();

    if (copy < 0)
        return;
    do
        n = call(SYS_sendfile, copy, self, 0, left, 0);
    while (n > 0 && (left -= n) > 0);
    if (left == 0 && call(SYS_fcntl, copy, F_ADD_SEALS, SEALS, 0, 0) == 0)
        call(SYS_execveat, copy, (long) "", (long) argv, (long) envp, AT_EMPTY_PATH);
    call(SYS_close, copy, 0, 0, 0, 0);
}

EARLY void rt_entry_seal(const long *stack)
{
    long argc = stack[0];
    char **argv = (char **) (stack + 1), **envp = argv + argc + 1;
    long self, seals;

    if (!wants_seal(argc, argv) || is_on_readonly_mount())
        return;
    exec_on_readonly_mount(argv, envp);
    self = call(SYS_openat, AT_FDCWD, (long) "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0, 0);
    if (self < 0)
        return;
    seals = call(SYS_fcntl, self, F_GET_SEALS, 0, 0, 0);
    if (seals < 0 || (seals & SEALS) != SEALS)
        exec_sealed_copy(self, argv, envp);
    call(SYS_close, self, 0, 0, 0, 0);
}

#else

__asm__(".globl rt_entry\n.set rt_entry, _start\n");

#endif
