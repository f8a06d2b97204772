/* settle.c - see settle.h. */
#include "shim/settle.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Only segments that can't be written: their pages are the file's, and nothing is lost. */
static int forget(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);

    (void) size;
    (void) arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t start = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t end = (info->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);

        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
            madvise((void *) start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void sh_settle(void)
{
    dl_iterate_phdr(forget, NULL);
}
