/** What a keyboard and a mouse have in common for the controller that they are plugged into. */

/** A device on one of the 8042's two serial interfaces. */
export interface Ps2Device {
  /** Whether the device has a byte for the controller. */
  readonly hasByte: boolean;
  /** Gives the controller the next byte, which is under way until {@linkcode Ps2Device.delivered}. Only when `hasByte`. */
  take(): number;
  /** The guest has read the byte that was taken last, or it is lost. */
  delivered(): void;
  /** Takes a command or parameter byte from the controller. */
  send(byte: number): void;
  /** The controller holds the clock line low: the device keeps its bytes. */
  setInhibited(level: boolean): void;
  /** Called when `hasByte` has become true. Set by the controller. */
  onByte: () => void;
}

/** Replies of both kinds of device. */
export const PS2_ACK = 0xfa, PS2_RESEND = 0xfe, PS2_BAT_OK = 0xaa;
/** Bytes that a device keeps for the controller. */
export const PS2_BUFFER_SIZE = 16;
