/* The multiply-add rate of one core at this moment: sums in registers, no memory.  Returns operations per second. */
#include <time.h>

typedef float vec __attribute__((vector_size(64)));

double peak(long rounds)
{
    vec s[24];
    const vec x = (vec){0} + 0.999f, y = (vec){0} + 1e-3f;
    struct timespec begin, end;
    float kept = 0;
#pragma GCC unroll 24
    for (int k = 0; k < 24; ++k) s[k] = (vec){0} + (float)k;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long n = 0; n < rounds; ++n) {
#pragma GCC unroll 24
        for (int k = 0; k < 24; ++k) s[k] = s[k] * x + y;
        __asm__ volatile("");
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
#pragma GCC unroll 24
    for (int k = 0; k < 24; ++k) kept += s[k][0];
    const double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    return kept == 0.125f ? 0.0 : 24.0 * 32.0 * (double)rounds / seconds;
}
