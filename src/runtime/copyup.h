/*
 * copyup.h - tmpcopyup: a new tmpfs starts with what the image has at that place.
 */
#pragma once

struct jl_err;

/*
 * Copies the tree at from_fd (a directory, O_PATH is enough) into the empty directory to_fd (the
 * root of a mount that nobody else can see): directories, files, symlinks with owner, mode and
 * times; other kinds are an error. Follows no symlink. 0, or -errno with e filled.
 */
int rt_copyup(int from_fd, int to_fd, struct jl_err *e);
