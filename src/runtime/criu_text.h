/*
 * criu_text.h - what checkpoint and restore read of texts: the kernel's mountinfo, in which the
 * container's mount points stand, CRIU's log, and the file beside the images, which may have
 * come from anywhere. All texts end with a NUL; nothing here makes a system call.
 *
 * Sources: proc(5) (mountinfo); criu(8) (--log-file); docs/formats/checkpoint.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define RT_CRIU_NAME_SIZE 160 /* bytes of a name in joblet-stdio, with its end */

/* The mount point of a line of mountinfo, decoded and cut to size. Returns the next line, or NULL
 * after the last. */
const char *rt_mounts_next(const char *line, char *ret, size_t size);

/* Whether the mount with this id is one of those in mountinfo. */
bool rt_mounts_have(const char *mounts, unsigned id);

/* The first error in a log, without its time: "Error (criu/x.c:12): ...", cut to size and made
 * printable. Those that follow it are its consequences. false: there is none. */
bool rt_criu_first_error(const char *log, char *ret, size_t size);

/* The names in joblet-stdio for descriptors 0, 1 and 2, cut out of text; NULL for none. 0, or
 * -EBADMSG when one is too long. */
int rt_criu_stdio_names(char *text, const char *ret[3]);
