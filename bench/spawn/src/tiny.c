/* The smallest program that writes: what is measured is starting it. cc -static -nostdlib -O2 */
#if defined(__x86_64__)
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
enum { WRITE = 1, EXIT = 231 };
#elif defined(__aarch64__)
static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
enum { WRITE = 64, EXIT = 94 };
#endif

void _start(void) {
    call(WRITE, 1, (long)"hello\n", 6);
    call(EXIT, 0, 0, 0);
    __builtin_unreachable();
}
