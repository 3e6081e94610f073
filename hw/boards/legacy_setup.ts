/**
 * What firmware does for the chips of the PC/AT before an operating system starts, beyond their resets:
 * kernels that were always started by a BIOS rely on it. The values are those of SeaBIOS.
 */
import type { RegisterAccess } from "../../core/bus/port_map.ts";
import type { I8042 } from "../i8042.ts";
import type { I8254 } from "../i8254.ts";
import type { I8259 } from "../i8259.ts";

/** Interrupt controllers: ICW1 (edge, cascade, ICW4 follows) and the vectors of a BIOS. */
const ICW1 = 0x11, MASTER_VECTORS = 0x08, SLAVE_VECTORS = 0x70, ICW4_8086 = 0x01;
/** Everything is masked but the cascade. */
const MASTER_MASK = 0xfb, SLAVE_MASK = 0xff;
/** Timer: counter 0, both bytes, mode 2; count 65536. */
const PIT_CONTROL = 3, COUNTER_0_RATE = 0x34;
/** Keyboard controller: self test, and the command byte. */
const SELF_TEST = 0xaa, WRITE_COMMAND_BYTE = 0x60;
const KEYBOARD_INTERRUPT = 0x01, SYSTEM_FLAG = 0x04, MOUSE_DISABLE = 0x20, TRANSLATE = 0x40;

function writeAll(registers: RegisterAccess, writes: readonly (readonly [number, number])[]): void {
  for (const [offset, value] of writes) registers.write(offset, 1, value);
}

/** Programs interrupt controllers, timer and keyboard controller. */
export function setUpLegacy({ pic, pit, i8042 }: { pic: I8259; pit: I8254; i8042: I8042 }): void {
  const CASCADE_LINE = 2;
  writeAll(pic.master, [
    [0, ICW1],
    [1, MASTER_VECTORS],
    [1, 1 << CASCADE_LINE],
    [1, ICW4_8086],
    [1, MASTER_MASK],
  ]);
  writeAll(pic.slave, [
    [0, ICW1],
    [1, SLAVE_VECTORS],
    [1, CASCADE_LINE],
    [1, ICW4_8086],
    [1, SLAVE_MASK],
  ]);
  writeAll(pit.registers, [[PIT_CONTROL, COUNTER_0_RATE], [0, 0], [0, 0]]);
  i8042.command.write(0, 1, SELF_TEST);
  i8042.data.read(0, 1);
  i8042.command.write(0, 1, WRITE_COMMAND_BYTE);
  i8042.data.write(0, 1, KEYBOARD_INTERRUPT | SYSTEM_FLAG | MOUSE_DISABLE | TRANSLATE);
}
