/** A guest with all the RAM that a machine can have, of which it writes to both ends and to the middle. */
import type { MachineOptions } from "../../mod.ts";
import { code } from "../modes/bed.ts";

// Large pages of 4 MiB, by PSE-36: 0 lies at 0, 400000h at 4 GiB, 800000h at 3 GiB less 4 MiB, C00000h at
// 5 GiB less 4 MiB.
const CODE = new Uint8Array(code(`
  bf 00 00 10 00             ; mov edi,100000h
  c7 07 83 00 00 00          ; mov dword [edi],83h
  c7 47 04 83 20 00 00       ; mov dword [edi+4],2083h
  c7 47 08 83 00 c0 bf       ; mov dword [edi+8],bfc00083h
  c7 47 0c 83 20 c0 3f       ; mov dword [edi+12],3fc02083h
  0f 22 df                   ; mov cr3,edi
  0f 20 e0                   ; mov eax,cr4
  0c 10                      ; or al,10h: PSE
  0f 22 e0                   ; mov cr4,eax
  0f 20 c0                   ; mov eax,cr0
  0d 00 00 00 80             ; or eax,80000000h: PG
  0f 22 c0                   ; mov cr0,eax
  c7 05 00 00 40 00 01 11 11 11 ; mov dword [400000h],11111101h
  c7 05 fc ff bf 00 02 22 22 22 ; mov dword [bffffch],22222202h
  c7 05 fc ff ff 00 03 33 33 33 ; mov dword [fffffch],33333303h
  a1 00 00 40 00             ; mov eax,[400000h]
  03 05 fc ff bf 00          ; add eax,[bffffch]
  03 05 fc ff ff 00          ; add eax,[fffffch]
  a3 00 05 00 00             ; mov [500h],eax
  fa f4                      ; cli; hlt
`));

export const HUGE_GUEST: MachineOptions = {
  kernel: CODE,
  flat: { mode: "protected" },
  memory: "4G",
};
