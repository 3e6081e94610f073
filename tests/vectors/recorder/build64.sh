#!/bin/sh
# Builds the recorder of 64-bit code: build64.sh [output].
set -eu
cd "$(dirname "$0")"
exec gcc -m64 -O2 -Wall -Wextra -Werror -std=gnu11 -ffreestanding -nostdlib -static \
  -fno-pic -no-pie -fno-stack-protector -mno-red-zone -mgeneral-regs-only -fcf-protection=none \
  -o "${1:-recorder64}" recorder64.c
