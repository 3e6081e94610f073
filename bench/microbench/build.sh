#!/bin/sh
# Builds the kernels. Usage: build.sh [SCALE], in percent of the full size; the output goes to
# out<SCALE>/NAME.32.elf and, for 64-bit code, NAME.64.elf, a 32-bit file that switches to long mode. Needs nasm, gcc with -m32, and binutils.
set -e
cd "$(dirname "$0")"
scale=${1:-100}
out=out$scale
mkdir -p "$out"
# The last define keeps gcc's SSE headers from asking for a C library for 32-bit programs.
flags="-O2 -DSCALE=$scale -mno-sse -mno-mmx -ffreestanding -fno-pic -fno-pie
  -fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns
  -fcf-protection=none -Wall -Wextra -Wno-unused-label -fno-strict-aliasing
  -D_MM_MALLOC_H_INCLUDED"
flags32="-m32 -march=pentium4" flags64="-m64 -march=x86-64 -mno-red-zone"
nasm -felf32 boot32.asm -o "$out/boot32.o"
nasm -felf64 boot64.asm -o "$out/boot64.o"
gcc $flags $flags32 -c lib.c -o "$out/lib32.o"
gcc $flags $flags64 -c lib.c -o "$out/lib64.o"
build() {
  name=$1 source=$2
  shift 2
  gcc $flags $flags32 "$@" -c "$source" -o "$out/$name.o"
  ld --no-warn-rwx-segments -z noexecstack -m elf_i386 -n -T link.ld -o "$out/$name.32.elf" \
    "$out/boot32.o" "$out/lib32.o" "$out/$name.o"
  gcc $flags $flags64 "$@" -c "$source" -o "$out/$name.o"
  ld --no-warn-rwx-segments -z noexecstack -m elf_x86_64 -n -T link.ld -o "$out/$name.64.elf64" \
    "$out/boot64.o" "$out/lib64.o" "$out/$name.o"
  objcopy -O elf32-i386 "$out/$name.64.elf64" "$out/$name.64.elf"
  rm "$out/$name.64.elf64"
}
for name in alu sieve chase fib interp muldiv smc portio pgfault; do
  build $name b_$name.c
done
build memcpy b_memcpy.c -msse2 -mfpmath=sse
build matmul b_matmul.c -msse2 -mfpmath=sse
build nbody b_nbody.c -mfpmath=387 -msse2 -fno-tree-vectorize
build int80 b_syscall.c
build fastsys b_syscall.c -DFAST
rm -f "$out"/*.o
