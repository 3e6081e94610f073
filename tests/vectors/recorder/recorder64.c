/*
 * The 64-bit sister of recorder.c, for 64-bit code: a freestanding x86-64 Linux program, in the format of
 * ../long/job.ts. It works the same way; see there.
 *
 * The arena is there twice, in the lowest 4 GiB and across a multiple of 4 GiB, and a page that cannot be written
 * follows each time. Nothing lies around them.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define LOW 0x00200000ull
#define HIGH 0x1234ffffe000ull
#define ARENA_SIZE 0x4000u
#define READ_ONLY_SIZE 0x1000u
#define FS_BASE (LOW + 0x100)
#define GS_BASE (HIGH - 0x12345)
#define MAX_PATCHES 64

#define JOB_FPU 1u

struct job {
  u32 size, flags, max_steps, patches;
  u64 gpr[16]; /* encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8 to r15 */
  u64 rip, rflags;
  u8 fx[512]; /* FXSAVE image; only with JOB_FPU */
};

struct result {
  u32 size, vector, error, steps, words, zero;
  u64 cr2, gpr[16], rip, rflags;
};

/* arch/x86/include/uapi/asm/sigcontext.h, 64-bit layouts. */
struct sigcontext {
  u64 r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
  u16 cs, gs, fs, ss;
  u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct ucontext {
  u64 flags, link, stack[3];
  struct sigcontext mc;
};

static u8 base_memory[ARENA_SIZE + READ_ONLY_SIZE] __attribute__((aligned(64)));
static u8 before[ARENA_SIZE] __attribute__((aligned(64)));
static u8 stack_memory[65536] __attribute__((aligned(64)));
static u8 in_buffer[1 << 20], out_buffer[1 << 20];
static u64 in_at, in_end, out_at;
static struct job job;
static u32 patch_at[MAX_PATCHES], patch_length[MAX_PATCHES];
static int busy;
static u64 start_ip;
static u32 steps;

static long syscall6(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  long r;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return r;
}
static long syscall3(long n, u64 a, u64 b, u64 c) { return syscall6(n, a, b, c, 0, 0, 0); }
static void leave(u32 code) {
  for (;;) syscall3(231, code, 0, 0);
}
static void fail(const char *why) {
  u64 n = 0;
  while (why[n]) n++;
  syscall3(1, 2, (u64)why, n);
  leave(1);
}
void *memcpy(void *to, const void *from, unsigned long n) {
  void *r = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return r;
}
void *memset(void *to, int value, unsigned long n) {
  void *r = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return r;
}

/* Reads exactly n bytes; 0 at a clean end of input. */
static int take(void *to, u64 n) {
  u8 *p = to;
  u64 got = 0;
  while (got < n) {
    if (in_at == in_end) {
      long r = syscall3(0, 0, (u64)in_buffer, sizeof in_buffer);
      if (r < 0) fail("recorder: cannot read standard input\n");
      if (r == 0) {
        if (got == 0) return 0;
        fail("recorder: input ends inside a job\n");
      }
      in_at = 0;
      in_end = r;
    }
    u64 part = in_end - in_at;
    if (part > n - got) part = n - got;
    memcpy(p + got, in_buffer + in_at, part);
    got += part;
    in_at += part;
  }
  return 1;
}
static void flush(void) {
  u32 at = 0;
  while (at < out_at) {
    long r = syscall3(1, 1, (u64)(out_buffer + at), out_at - at);
    if (r <= 0) fail("recorder: cannot write standard output\n");
    at += r;
  }
  out_at = 0;
}
static void give(const void *from, u64 n) {
  if (out_at + n > sizeof out_buffer) flush();
  memcpy(out_buffer + out_at, from, n);
  out_at += n;
}

/* Where the general registers lie in the frame, in encoding order. */
static u64 *gpr(struct sigcontext *c, u32 i) {
  u64 *low[8] = { &c->ax, &c->cx, &c->dx, &c->bx, &c->sp, &c->bp, &c->si, &c->di };
  return i < 8 ? low[i] : &c->r8 + (i - 8);
}

/* Reports the finished job and puts memory back. */
static void finish(struct sigcontext *c) {
  static u32 changed[2 * ARENA_SIZE / 4];
  u32 *now = (u32 *)LOW;
  const u32 *was = (const u32 *)before;
  struct result r;
  u32 words = 0;
  for (u32 k = 0; k < ARENA_SIZE / 4; k++) {
    if (now[k] == was[k]) continue;
    changed[2 * words] = k * 4;
    changed[2 * words + 1] = now[k];
    words++;
    now[k] = was[k];
  }
  r.vector = c->trapno;
  r.error = c->err;
  r.steps = steps;
  r.words = words;
  r.zero = 0;
  r.cr2 = c->cr2;
  for (u32 i = 0; i < 16; i++) r.gpr[i] = *gpr(c, i);
  r.rip = c->ip;
  r.rflags = c->flags;
  u32 fpu = (job.flags & JOB_FPU) != 0 ? 512 : 0;
  r.size = sizeof r + fpu + words * 8;
  give(&r, sizeof r);
  if (fpu != 0) give((u8 *)c->fpstate, 512);
  give(changed, words * 8);
  for (u32 i = 0; i < job.patches; i++) {
    memcpy((u8 *)LOW + patch_at[i], base_memory + patch_at[i], patch_length[i]);
    memcpy(before + patch_at[i], base_memory + patch_at[i], patch_length[i]);
  }
}

/* Loads the next job into the signal frame. */
static void start(struct sigcontext *c) {
  if (!take(&job, 16)) {
    flush();
    leave(0);
  }
  u32 rest = __builtin_offsetof(struct job, fx) - 16;
  if (!take((u8 *)&job + 16, rest)) fail("recorder: input ends inside a job\n");
  if ((job.flags & JOB_FPU) != 0 && !take(job.fx, 512)) fail("recorder: input ends inside a job\n");
  if (job.patches > MAX_PATCHES) fail("recorder: too many patches\n");
  for (u32 i = 0; i < job.patches; i++) {
    u32 head[2];
    if (!take(head, 8)) fail("recorder: input ends inside a job\n");
    if (head[0] > ARENA_SIZE || head[1] > ARENA_SIZE - head[0]) fail("recorder: patch out of range\n");
    patch_at[i] = head[0];
    patch_length[i] = head[1];
    if (head[1] != 0) take((u8 *)LOW + head[0], head[1]);
    memcpy(before + head[0], (u8 *)LOW + head[0], head[1]);
  }
  for (u32 i = 0; i < 16; i++) *gpr(c, i) = job.gpr[i];
  c->ip = job.rip;
  c->flags = job.rflags | 0x100;
  start_ip = job.rip;
  steps = 0;
  busy = 1;
  if ((job.flags & JOB_FPU) == 0) return;
  u8 *fp = (u8 *)c->fpstate;
  memcpy(fp, job.fx, 416);
  /* XSTATE_BV of the header after the 512 bytes: x87 and SSE are there. */
  *(u64 *)(fp + 512) |= 3;
}

__attribute__((used)) static void handle(int signal, void *info, struct ucontext *u) {
  struct sigcontext *c = &u->mc;
  (void)signal;
  (void)info;
  if (c->fpstate == 0) fail("recorder: the kernel saved no x87 state\n");
  if (busy) {
    if (c->trapno == 1) {
      steps++;
      if (c->ip == start_ip && steps < job.max_steps) {
        c->flags |= 0x100;
        return;
      }
    }
    finish(c);
  }
  start(c);
}

/* NT, AC and ID may come from the instruction under test: not into C code. */
__asm__(
  ".text\n"
  "enter_handler:\n"
  "  pushq $0x202\n"
  "  popfq\n"
  "  cld\n"
  "  jmp handle\n"
  "restore:\n"
  "  movl $15, %eax\n"
  "  syscall\n"
  ".globl _start\n"
  "_start:\n"
  "  andq $-16, %rsp\n"
  "  call begin\n");
extern void enter_handler(void), restore(void);

__attribute__((used)) static void begin(void) {
  if (!take(base_memory, sizeof base_memory)) fail("recorder: no input\n");
  memcpy(before, base_memory, ARENA_SIZE);
  /* memfd_create, ftruncate; PROT_READ|WRITE|EXEC, MAP_SHARED|FIXED */
  long file = syscall3(319, (u64) "arena", 0, 0);
  if (file < 0 || syscall3(77, file, sizeof base_memory, 0) != 0) fail("recorder: no memory file\n");
  static const u64 places[2] = { LOW, HIGH };
  for (u32 i = 0; i < 2; i++) {
    u64 at = places[i];
    if (syscall6(9, at, sizeof base_memory, 7, 0x11, file, 0) != (long)at) fail("recorder: cannot map the arena\n");
    if (i == 0) memcpy((u8 *)at, base_memory, sizeof base_memory);
  }
  for (u32 i = 0; i < 2; i++) syscall3(10, places[i] + ARENA_SIZE, READ_ONLY_SIZE, 5);
  /* Once read, a page is there: writes to it are refused, not found absent. */
  for (u32 i = 0; i < 2; i++) {
    for (u32 at = 0; at < sizeof base_memory; at += 0x1000) (void)*(volatile u8 *)(places[i] + at);
  }
  /* ARCH_SET_FS, ARCH_SET_GS */
  syscall3(158, 0x1002, FS_BASE, 0);
  syscall3(158, 0x1001, GS_BASE, 0);
  u64 stack[3] = { (u64)stack_memory, 0, sizeof stack_memory };
  if (syscall3(131, (u64)stack, 0, 0) != 0) fail("recorder: sigaltstack failed\n");
  /* SA_SIGINFO | SA_ONSTACK | SA_RESTORER | SA_NODEFER */
  u64 action[4] = { (u64)enter_handler, 0x4 | 0x08000000 | 0x04000000 | 0x40000000, (u64)restore, 0 };
  static const u32 signals[] = { 4, 5, 7, 8, 11 };
  for (u32 i = 0; i < 5; i++) {
    if (syscall6(13, signals[i], (u64)action, 0, 8, 0, 0) != 0) fail("recorder: rt_sigaction failed\n");
  }
  __asm__ volatile("int3");
  fail("recorder: not reached\n");
}
