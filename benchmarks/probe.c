/* What one core can do at this moment: multiply-adds from registers, and reads from a buffer that some cache holds. */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BYTES 64
#define SUMS 24
#elif defined(__AVX__)
#define BYTES 32
#define SUMS 12 /* of 16 registers; two operands and a spare are left */
#else
#define BYTES 16
#define SUMS 12
#endif

typedef float vec_f32 __attribute__((vector_size(BYTES)));
typedef double vec_f64 __attribute__((vector_size(BYTES)));
typedef uint64_t vec_u64 __attribute__((vector_size(BYTES)));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Flop/s of independent multiply-adds, two operations each: SUMS chains are more than latency times issue width. */
#define PEAK(real)                                                                                                    \
    double peak_##real(long rounds)                                                                                   \
    {                                                                                                                 \
        vec_##real s[SUMS];                                                                                           \
        const vec_##real x = (vec_##real){0} + 0.999f, y = (vec_##real){0} + 1e-3f;                                   \
        double kept = 0;                                                                                              \
        _Pragma("GCC unroll 24") for (int k = 0; k < SUMS; ++k) s[k] = (vec_##real){0} + (float)k;                    \
        const double begin = now();                                                                                   \
        for (long n = 0; n < rounds; ++n) {                                                                           \
            _Pragma("GCC unroll 24") for (int k = 0; k < SUMS; ++k) s[k] = s[k] * x + y;                              \
            __asm__ volatile("");                                                                                     \
        }                                                                                                             \
        const double seconds = now() - begin;                                                                         \
        _Pragma("GCC unroll 24") for (int k = 0; k < SUMS; ++k) kept += (double)s[k][0];                              \
        const double flop = 2.0 * SUMS * (double)(sizeof(vec_##real) / sizeof s[0][0]) * (double)rounds;              \
        return kept == 0.125 ? 0.0 : flop / seconds;                                                                  \
    }

PEAK(f32)
PEAK(f64)

int vector_bits(void) { return 8 * BYTES; }

/* Bytes/s of reading `size` bytes, a multiple of 8 vectors, `passes` times over; `buffer` is aligned to a vector. */
double read_stream(const void *buffer, size_t size, long passes)
{
    const vec_u64 *p = buffer;
    const size_t count = size / sizeof *p;
    vec_u64 s[8] = {{0}};
    const double begin = now();
    for (long n = 0; n < passes; ++n) {
        for (size_t i = 0; i < count; i += 8) {
#pragma GCC unroll 8
            for (int k = 0; k < 8; ++k) s[k] ^= p[i + (size_t)k];
        }
        __asm__ volatile("" ::: "memory");
    }
    const double seconds = now() - begin;
    uint64_t kept = 0;
    for (int k = 0; k < 8; ++k) kept ^= s[k][0];
    return kept == 1 ? 0.0 : (double)size * (double)passes / seconds;
}

/* Denormals count as zero in this thread and in those that it starts from now on; 0 where that is not known how. */
int flush_denormals(void)
{
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040u);
    return 1;
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" ::"r"(control | (UINT64_C(1) << 24)));
    return 1;
#else
    return 0;
#endif
}
