#!/bin/sh
# Builds the recorder: build.sh [output]. Needs a gcc that can make 32-bit code; no 32-bit libraries.
set -eu
cd "$(dirname "$0")"
exec gcc -m32 -march=i686 -O2 -Wall -Wextra -Werror -std=gnu11 -ffreestanding -nostdlib -static \
  -fno-pic -no-pie -fno-stack-protector -mno-sse -mno-mmx -fcf-protection=none \
  -o "${1:-recorder}" recorder.c
