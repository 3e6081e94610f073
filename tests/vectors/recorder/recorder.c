/*
 * Executes single instructions on this machine's own processor and reports what they did.
 *
 * A freestanding 32-bit Linux program: jobs come in on standard input, results leave on standard output,
 * in the format that ../job.ts writes and reads. It decides nothing: which instructions run, and from which
 * state, is up to ../record.ts.
 *
 * How a job runs: everything lives in one signal handler on its own stack. The handler replaces the whole
 * machine state in its signal frame (general and segment registers, EFLAGS with TF set, x87 and SSE
 * state) and returns, so that the kernel's sigreturn loads it and the processor executes one instruction.
 * The trap or fault after it enters the handler again, with the new state in the frame.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define ARENA 0x00200000u
#define ARENA_SIZE 0x10000u
#define READ_ONLY_SIZE 0x1000u
#define MAX_PATCHES 64

#define JOB_FPU 1u

struct job {
  u32 size, flags, max_steps, patches;
  u32 gpr[8]; /* encoding order: eax ecx edx ebx esp ebp esi edi */
  u32 eip, eflags;
  u32 seg[6]; /* es cs ss ds fs gs */
  u8 fx[512] __attribute__((aligned(4))); /* FXSAVE image; only with JOB_FPU */
};

struct result {
  u32 size, vector, error, cr2, steps, words;
  u32 gpr[8], eip, eflags, seg[6];
};

/* arch/x86/include/uapi/asm/sigcontext.h, 32-bit layouts. */
struct sigcontext {
  u32 gs, fs, es, ds, di, si, bp, sp, bx, dx, cx, ax, trapno, err, ip, cs, flags, sp_at_signal, ss;
  u32 fpstate, oldmask, cr2;
};
struct ucontext {
  u32 flags, link, stack[3];
  struct sigcontext mc;
};
struct fpstate {
  u32 cw, sw, tag, ipoff, cssel, dataoff, datasel;
  u8 st[80];
  u16 status, magic;
  u8 fx[512];
  u32 xstate_bv, xstate_bv_high;
};
struct user_desc {
  u32 entry, base, limit, bits;
};

static u8 base_memory[ARENA_SIZE + READ_ONLY_SIZE] __attribute__((aligned(64)));
static u8 before[ARENA_SIZE] __attribute__((aligned(64)));
static u8 stack_memory[65536] __attribute__((aligned(64)));
static u8 in_buffer[1 << 20], out_buffer[1 << 20];
static u32 in_at, in_end, out_at;
static struct job job;
static u32 patch_at[MAX_PATCHES], patch_length[MAX_PATCHES];
static int busy;
static u32 start_ip, steps;

static int syscall3(int n, u32 a, u32 b, u32 c) {
  int r;
  __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
  return r;
}
static int syscall4(int n, u32 a, u32 b, u32 c, u32 d) {
  int r;
  __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
  return r;
}
static void leave(u32 code) {
  for (;;) syscall3(1, code, 0, 0);
}
static void fail(const char *why) {
  u32 n = 0;
  while (why[n]) n++;
  syscall3(4, 2, (u32)why, n);
  leave(1);
}
void *memcpy(void *to, const void *from, u32 n) {
  void *r = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return r;
}
void *memset(void *to, int value, u32 n) {
  void *r = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return r;
}

/* Reads exactly n bytes; 0 at a clean end of input. */
static int take(void *to, u32 n) {
  u8 *p = to;
  u32 got = 0;
  while (got < n) {
    if (in_at == in_end) {
      int r = syscall3(3, 0, (u32)in_buffer, sizeof in_buffer);
      if (r < 0) fail("recorder: cannot read standard input\n");
      if (r == 0) {
        if (got == 0) return 0;
        fail("recorder: input ends inside a job\n");
      }
      in_at = 0;
      in_end = r;
    }
    u32 part = in_end - in_at;
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
    int r = syscall3(4, 1, (u32)(out_buffer + at), out_at - at);
    if (r <= 0) fail("recorder: cannot write standard output\n");
    at += r;
  }
  out_at = 0;
}
static void give(const void *from, u32 n) {
  if (out_at + n > sizeof out_buffer) flush();
  memcpy(out_buffer + out_at, from, n);
  out_at += n;
}

/* Reports the finished job and puts memory back. */
static void finish(struct sigcontext *c, struct fpstate *fp) {
  static u32 changed[2 * ARENA_SIZE / 4];
  const u32 *now = (const u32 *)ARENA, *was = (const u32 *)before;
  struct result r;
  u32 words = 0;
  for (u32 i = 0; i < ARENA_SIZE / 4; i += 4) {
    if (((now[i] ^ was[i]) | (now[i + 1] ^ was[i + 1]) | (now[i + 2] ^ was[i + 2]) |
         (now[i + 3] ^ was[i + 3])) == 0) continue;
    for (u32 k = i; k < i + 4; k++) {
      if (now[k] == was[k]) continue;
      changed[2 * words] = k * 4;
      changed[2 * words + 1] = now[k];
      words++;
      ((u32 *)ARENA)[k] = was[k];
    }
  }
  r.vector = c->trapno;
  r.error = c->err;
  r.cr2 = c->cr2;
  r.steps = steps;
  r.words = words;
  r.gpr[0] = c->ax; r.gpr[1] = c->cx; r.gpr[2] = c->dx; r.gpr[3] = c->bx;
  r.gpr[4] = c->sp; r.gpr[5] = c->bp; r.gpr[6] = c->si; r.gpr[7] = c->di;
  r.eip = c->ip;
  r.eflags = c->flags;
  r.seg[0] = c->es & 0xffff; r.seg[1] = c->cs & 0xffff; r.seg[2] = c->ss & 0xffff;
  r.seg[3] = c->ds & 0xffff; r.seg[4] = c->fs & 0xffff; r.seg[5] = c->gs & 0xffff;
  u32 fpu = (job.flags & JOB_FPU) != 0 ? 512 : 0;
  r.size = sizeof r + fpu + words * 8;
  give(&r, sizeof r);
  if (fpu != 0) give(fp->fx, 512);
  give(changed, words * 8);
  for (u32 i = 0; i < job.patches; i++) {
    memcpy((u8 *)ARENA + patch_at[i], base_memory + patch_at[i], patch_length[i]);
    memcpy(before + patch_at[i], base_memory + patch_at[i], patch_length[i]);
  }
}

/* Loads the next job into the signal frame. */
static void start(struct sigcontext *c, struct fpstate *fp) {
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
    if (head[1] != 0) take((u8 *)ARENA + head[0], head[1]);
    memcpy(before + head[0], (u8 *)ARENA + head[0], head[1]);
  }
  c->ax = job.gpr[0]; c->cx = job.gpr[1]; c->dx = job.gpr[2]; c->bx = job.gpr[3];
  c->sp = job.gpr[4]; c->bp = job.gpr[5]; c->si = job.gpr[6]; c->di = job.gpr[7];
  c->ip = job.eip;
  c->flags = job.eflags | 0x100;
  c->es = job.seg[0]; c->cs = job.seg[1]; c->ss = job.seg[2];
  c->ds = job.seg[3]; c->fs = job.seg[4]; c->gs = job.seg[5];
  start_ip = job.eip;
  steps = 0;
  busy = 1;
  if ((job.flags & JOB_FPU) == 0) return;
  /* On sigreturn the kernel takes x87 state from the FSAVE part and the rest from the FXSAVE part. */
  memcpy(fp->fx, job.fx, 464);
  u32 tags = 0;
  for (u32 i = 0; i < 8; i++) {
    if ((job.fx[4] >> i & 1) == 0) tags |= 3u << (2 * i);
    memcpy(fp->st + 10 * i, job.fx + 32 + 16 * i, 10);
  }
  fp->cw = *(u16 *)(job.fx + 0) | 0xffff0000u;
  fp->sw = *(u16 *)(job.fx + 2) | 0xffff0000u;
  fp->tag = tags | 0xffff0000u;
  fp->ipoff = *(u32 *)(job.fx + 8);
  fp->cssel = (u32) * (u16 *)(job.fx + 6) << 16;
  fp->dataoff = *(u32 *)(job.fx + 16);
  fp->datasel = 0;
  fp->status = *(u16 *)(job.fx + 2);
  fp->xstate_bv |= 3;
}

__attribute__((used)) static void handle(int signal, void *info, struct ucontext *u) {
  struct sigcontext *c = &u->mc;
  struct fpstate *fp = (struct fpstate *)c->fpstate;
  (void)signal;
  (void)info;
  if (fp == 0) fail("recorder: the kernel saved no x87 state\n");
  if (busy) {
    if (c->trapno == 1) {
      steps++;
      if (c->ip == start_ip && steps < job.max_steps) {
        c->flags |= 0x100;
        return;
      }
    }
    finish(c, fp);
  }
  start(c, fp);
}

/* NT, AC and ID may come from the instruction under test: not into C code. */
__asm__(
  ".text\n"
  "enter_handler:\n"
  "  pushl $0x202\n"
  "  popfl\n"
  "  cld\n"
  "  jmp handle\n"
  "restore:\n"
  "  movl $173, %eax\n"
  "  int $0x80\n"
  ".globl _start\n"
  "_start:\n"
  "  andl $-16, %esp\n"
  "  call begin\n");
extern void enter_handler(void), restore(void);

static void describe(u32 entry, u32 base, u32 limit, u32 bits) {
  struct user_desc d = { entry, base, limit, bits };
  if (syscall3(123, 0x11, (u32)&d, sizeof d) != 0) fail("recorder: modify_ldt failed\n");
}

/* Bits of user_desc: 32-bit, contents, read/execute only, limit in pages, not present. */
#define D32 1u
#define EXPAND_DOWN (1u << 1)
#define CODE (2u << 1)
#define READ_ONLY (1u << 3)
#define PAGES (1u << 4)
#define ABSENT (1u << 5)

__attribute__((used)) static void begin(void) {
  /* PROT_READ|WRITE|EXEC, MAP_PRIVATE|ANONYMOUS|FIXED */
  u32 arguments[6] = { ARENA, ARENA_SIZE + READ_ONLY_SIZE, 7, 0x32, 0xffffffff, 0 };
  if (syscall3(90, (u32)arguments, 0, 0) != (int)ARENA) fail("recorder: cannot map the arena\n");
  if (!take(base_memory, sizeof base_memory)) fail("recorder: no input\n");
  memcpy((u8 *)ARENA, base_memory, sizeof base_memory);
  memcpy(before, base_memory, ARENA_SIZE);
  syscall3(125, ARENA + ARENA_SIZE, READ_ONLY_SIZE, 5);
  /* The same descriptors as in ../machine.ts. */
  describe(0, ARENA, 0xfffff, D32 | PAGES);
  describe(1, ARENA, 0xffff, CODE);
  describe(2, ARENA, 0xffff, 0);
  describe(3, ARENA + 0x8000, 0x0fff, D32);
  describe(4, ARENA, 0x7fff, D32 | EXPAND_DOWN);
  describe(5, ARENA, 0xffff, D32 | READ_ONLY);
  describe(6, ARENA, 0xffff, D32 | ABSENT);
  describe(7, ARENA, 0xffff, D32 | CODE);
  describe(8, ARENA, 0xffff, D32 | CODE | READ_ONLY);
  describe(9, ARENA, 0xffff, D32 | CODE | ABSENT);
  describe(10, ARENA, 0x7fff, EXPAND_DOWN);
  u32 stack[3] = { (u32)stack_memory, 0, sizeof stack_memory };
  if (syscall3(186, (u32)stack, 0, 0) != 0) fail("recorder: sigaltstack failed\n");
  /* SA_SIGINFO | SA_ONSTACK | SA_RESTORER | SA_NODEFER */
  u32 action[5] = { (u32)enter_handler, 0x4 | 0x08000000 | 0x04000000 | 0x40000000, (u32)restore, 0, 0 };
  static const u32 signals[] = { 4, 5, 7, 8, 11 };
  for (u32 i = 0; i < 5; i++) {
    if (syscall4(174, signals[i], (u32)action, 0, 8) != 0) fail("recorder: rt_sigaction failed\n");
  }
  __asm__ volatile("int3");
  fail("recorder: not reached\n");
}
