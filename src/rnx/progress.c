/* progress.c - see progress.h. */
#include "rnx/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "rnx/out.h"

#define DRAW_NS (200 * JL_NS_PER_MS)

void rnx_progress_begin(struct rnx_progress *p, uint64_t total)
{
    uint64_t now = jl_now_ns();

    *p = (struct rnx_progress){ .total = total, .began_ns = now, .drawn_ns = now };
    p->on = isatty(STDERR_FILENO) == 1;
}

/* "\r 45%  135.00 MB of 300.00 MB, 52.10 MB/s"; what a longer line has left is blanked out. */
static void draw(struct rnx_progress *p, uint64_t now)
{
    double seconds = (double) (now - p->began_ns) / (double) JL_NS_PER_S;
    char done[32], total[32], rate[32];

    p->drawn_ns = now;
    fprintf(stderr, "\r%3.0f%%  %s of %s, %s/s   ",
            p->total ? 100.0 * (double) p->done / (double) p->total : 100.0,
            rnx_size_text(p->done, done, sizeof done), rnx_size_text(p->total, total, sizeof total),
            rnx_size_text(seconds > 0 ? (uint64_t) ((double) p->done / seconds) : 0, rate,
                          sizeof rate));
    fflush(stderr);
}

void rnx_progress_add(struct rnx_progress *p, uint64_t bytes)
{
    uint64_t now;

    p->done += bytes;
    if (!p->on)
        return;
    now = jl_now_ns();
    if (now - p->drawn_ns >= DRAW_NS)
        draw(p, now);
}

void rnx_progress_end(struct rnx_progress *p)
{
    if (!p->on)
        return;
    draw(p, jl_now_ns());
    fputc('\n', stderr);
    p->on = false;
}
