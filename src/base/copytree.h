/*
 * copytree.h - copies of whole trees, by descriptor.
 */
#pragma once

struct jl_err;

/*
 * Copies the tree at from_fd (a directory, O_PATH is enough) into the empty directory to_fd (the
 * root of a mount that nobody else can see): directories, files, symlinks with owner, mode and
 * times; other kinds are an error. A hole becomes zeros, a file with several names several files.
 * Follows no symlink. Blocks; opens three descriptors a directory of depth, 200 of which there may
 * be. 0, or -errno with e filled; what was copied until then stays.
 */
int jl_copy_tree(int from_fd, int to_fd, struct jl_err *e);
