/** The text of the interpreter's loop: dispatch, lookup, and the hot forms in one switch. */
import { LONG_FETCH } from "../x86/long_mmu.ts";
import * as S from "../x86/state.ts";
import {
  CODE_END,
  CURRENT,
  F_LINK,
  F_PLACE,
  F_REG,
  LINK_FROM,
  LONG_BASE,
  LOOKUP_PLACE,
  MODE_BASE,
  OP_CROSS,
  OP_GOTO,
  OP_LOOKUP,
  OP_REGION,
  OP_RESYNC,
  OP_STALE,
  PAGE_IP,
  PAGE_IP_HI,
  PLACE_END,
  RECORD,
  RING_AT,
  RING_SIZE,
  TLB_BASE,
} from "./record.ts";
import { recentText } from "./code_cache.ts";
import { LOOK_UP } from "./operations.ts";

const MASK = RING_SIZE - 1;

/**
 * Source of `function loop(p, pEnd)`: executes records from `p` until `pEnd`, or until an operation asks
 * to leave. It leaves `R[CURRENT]` and `R[PLACE_END]` such that their distance is the rest of the budget,
 * and RIP current.
 *
 * Besides the scope of the operations it uses `H` (handlers), `AFTER`, `M` (places), `Q` (recent), `PG` (pages), `B`
 * (branch ring), and calls `lookup()` (slow lookup: a place, or 0 to leave), `cross(p)`, and `renew(p)` (decodes a
 * record again), `region(p)`
 * (executes translated code; gives the place to go on at, for which it sets `R[PLACE_END]`), and `goOn()`
 * (after a control instruction: whether the loop may look the next instruction up itself).
 *
 * Sums and what calls give end in "|0": V8 else keeps places as tagged values, since one of the ways to a place gives
 * one, and asks of each sum whether it left the range of int32. Without it the loop took 6 to 16 % more time.
 */
export function loopSource(hotBodies: string, long: boolean): string {
  const high = (lo: string) => `R[${PAGE_IP_HI}]+((${lo}>>>0)<(R[${PAGE_IP}]>>>0)?1:0)`;
  const setRip = long
    ? `{const at=(R[${PAGE_IP}]+(C[p+${F_PLACE}]&65535))|0;R[${S.RIP}]=at;R[${S.RIP + 1}]=${
      high("at")
    };}`
    : `R[${S.RIP}]=(R[${PAGE_IP}]+(C[p+${F_PLACE}]&65535))|0;`;
  // What the lookup asks the TLB, and what else must be the same for a page to be the same.
  const find = long
    ? `const at=ip,iph=R[${S.RIP + 1}],e=${LONG_FETCH}+R[${LONG_BASE}]+((at>>>10)&65532);
const t=LT[e]===(at&-4096)&&LT[e+1]===iph?LT[e+2]:0;`
    : `const at=(R[${S.SEG_BASE + S.CS}]+ip)|0,t=XT[R[${TLB_BASE}]+(at>>>12)];`;
  const within = long ? "" : `if((ip>>>0)<(R[${CODE_END}]>>>0))`;
  const otherPage = long ? `page!==R[${PAGE_IP}]||iph!==R[${PAGE_IP_HI}]` : `page!==R[${PAGE_IP}]`;
  const notePage = long ? `R[${PAGE_IP_HI}]=iph;` : "";
  // hot: bench/boots.ts. The switch stays below V8's limit for optimised functions (61,440 bytes of bytecode).
  return `"use strict";
return function loop(p,pEnd){
p|=0;pEnd|=0;
let k=R[${RING_AT}];
R[${PLACE_END}]=pEnd;
L:for(;;){
if(p===pEnd)break;
const op=C[p];
switch(op){
case ${OP_RESYNC}:
${setRip}
B[(k=k+1|0)&${MASK}]=p-${RECORD};
pEnd=pEnd+${LOOKUP_PLACE}-p|0;p=${LOOKUP_PLACE};
case ${OP_LOOKUP}:{
const ip=R[${S.RIP}];
${within}{
${find}
if(t!==0){const g=PG[R[${MODE_BASE}]+(t>>>12)];
if(g!==0){const offset=at&4095,key=(g<<12)|offset,i=${recentText("key")};let q=0;
if(Q[i]===key)q=Q[i+1];else{q=M[key];if(q!==0){Q[i]=key;Q[i+1]=q;}}
if(q!==0){
const page=(ip-offset)|0,from=R[${LINK_FROM}];
if(${otherPage}){${notePage}B[(k=k+1|0)&${MASK}]=-1-(R[${PAGE_IP}]>>>12);R[${PAGE_IP}]=page;}
else if(from!==0)C[from+${F_LINK}]=q;
R[${LINK_FROM}]=0;
B[(k=k+1|0)&${MASK}]=q;
pEnd=pEnd+q-p|0;p=q;R[${PLACE_END}]=pEnd;continue L;
}}}}
R[${CURRENT}]=p;R[${PLACE_END}]=pEnd;R[${RING_AT}]=k;
const q=lookup()|0;
k=R[${RING_AT}];
if(q===0){pEnd=R[${PLACE_END}];break L;}
pEnd=R[${PLACE_END}]+q-p|0;p=q;R[${PLACE_END}]=pEnd;continue L;
}
case ${OP_GOTO}:{const q=C[p+${F_REG}];B[(k=k+1|0)&${MASK}]=p-${RECORD};B[(k=k+1|0)&${MASK}]=q;pEnd=pEnd+q-p|0;p=q;R[${PLACE_END}]=pEnd;continue L;}
case ${OP_CROSS}:{
R[${CURRENT}]=p;R[${PLACE_END}]=pEnd;
${setRip}
const q=cross(p)|0;
if(q===0){pEnd=R[${PLACE_END}]+${LOOKUP_PLACE}-p|0;p=${LOOKUP_PLACE};break L;}
B[(k=k+1|0)&${MASK}]=p-${RECORD};B[(k=k+1|0)&${MASK}]=q;
pEnd=R[${PLACE_END}]+q-p|0;p=q;R[${PLACE_END}]=pEnd;continue L;
}
case ${OP_STALE}:{renew(p);continue L;}
case ${OP_REGION}:{
R[${CURRENT}]=p;R[${PLACE_END}]=pEnd;R[${RING_AT}]=k;
p=region(p)|0;
pEnd=R[${PLACE_END}];k=R[${RING_AT}];continue L;
}
${hotBodies}
default:{
R[${CURRENT}]=p;R[${PLACE_END}]=pEnd;
H[op](p);
pEnd=R[${PLACE_END}];
const after=AFTER[op];
if(after===0){p=p+${RECORD}|0;continue L;}
B[(k=k+1|0)&${MASK}]=p;
pEnd=pEnd+${LOOKUP_PLACE - RECORD}-p|0;p=${LOOKUP_PLACE};R[${PLACE_END}]=pEnd;
if(after===${LOOK_UP})continue L;
if(p===pEnd)break L;
R[${RING_AT}]=k;
if(!goOn())break L;
k=R[${RING_AT}];continue L;
}
}
}
R[${RING_AT}]=k;
R[${CURRENT}]=p;R[${PLACE_END}]=pEnd;
if(p!==${LOOKUP_PLACE})${setRip}
}`;
}
