/*
 * replay.c - main for a fuzz target outside of libFuzzer: runs every file of its corpus, or the
 * files that are named, and some beginnings of each as truncated input. fuzz_<parser> finds its
 * corpus at $srcdir/tests/fuzz/corpus/<parser>. Each name is printed before its run, so that the
 * last one is the culprit.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGINNINGS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int run(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1); /* of the exact size, so that a sanitizer sees the end */

    if (!copy)
        return -1;
    memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    return 0;
}

static int run_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *f = fopen(path, "re");
    size_t n;
    int r;

    if (!f) {
        perror(path);
        return -1;
    }
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    if (n == sizeof bytes) {
        fprintf(stderr, "%s: %zu bytes or more, too large for a corpus\n", path, n);
        return -1;
    }
    printf("%s\n", path);
    fflush(stdout);
    r = run(bytes, n);
    for (size_t i = 0; i < BEGINNINGS && r == 0; i++)
        r = run(bytes, n * i / BEGINNINGS);
    return r;
}

static int run_corpus(const char *dir_path)
{
    DIR *dir = opendir(dir_path);
    struct dirent *d;
    char path[4096];
    int n = 0;

    if (!dir) {
        perror(dir_path);
        return 1;
    }
    while ((d = readdir(dir)) != NULL) {
        if (d->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof path, "%s/%s", dir_path, d->d_name) >= (int) sizeof path ||
            run_file(path) < 0)
            return 1;
        n++;
    }
    closedir(dir);
    printf("%s: %d inputs\n", dir_path, n);
    return n > 0 ? 0 : 1; /* an empty corpus proves nothing */
}

int main(int argc, char **argv)
{
    const char *srcdir = getenv("srcdir"), *name = strrchr(argv[0], '/');
    char path[4096];

    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            if (run_file(argv[i]) < 0)
                return 1;
        return 0;
    }
    name = name ? name + 1 : argv[0];
    if (strncmp(name, "fuzz_", 5) != 0)
        return 2;
    if (snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name + 5) >=
        (int) sizeof path)
        return 1;
    return run_corpus(path);
}
