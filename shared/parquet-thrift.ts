/**
 * Walks Thrift's compact protocol without building anything, so that a decoder that trusts sizes is
 * only given bytes whose sizes are true. Never: decodes values.
 * Protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 */

const depthMax = 64;
/** Lists and structs together: what a decoder turns into objects. */
const containersMax = 10_000_000;
const varintBytesMax = 10;

const stop = 0;
const binary = 8;
const list = 9;
const struct = 12;

/**
 * Checks that one struct fits in the bytes, with every length and list size inside them.
 * @throws Error saying what is wrong and at which byte
 */
export function checkCompactStruct(bytes: Uint8Array): void {
  const walk = new Walk(bytes);
  walk.struct(0);
}

/**
 * Whole numbers among the members of the struct that the bytes begin with, by field number, and how
 * many bytes it takes. Page headers consist of these.
 * @throws Error as `checkCompactStruct`, also where the struct is longer than the bytes
 */
export function readCompactIntegers(bytes: Uint8Array): {
  readonly fields: ReadonlyMap<number, number>;
  readonly length: number;
} {
  const walk = new Walk(bytes);
  const fields = new Map<number, number>();
  walk.struct(0, (field, value) => fields.set(field, value));
  return { fields, length: walk.at };
}

class Walk {
  at = 0;
  private containers = 0;

  constructor(private readonly bytes: Uint8Array) {}

  struct(depth: number, take?: (field: number, value: number) => void): void {
    this.enter(depth);
    let field = 0;
    for (;;) {
      const header = this.byte();
      const type = header & 0x0f;
      if (type === stop) return;
      field = header >> 4 === 0 ? unzigzag(this.varint()) : field + (header >> 4);
      if (take && isInteger(type)) take(field, unzigzag(this.varint()));
      else this.value(type, depth, false);
    }
  }

  private value(type: number, depth: number, inList: boolean): void {
    switch (type) {
      case 1:
      case 2: // booleans: in the field's header, or one byte in a list
        if (inList) this.skip(1);
        return;
      case 3:
        return this.skip(1);
      case 4:
      case 5:
      case 6:
        this.varint();
        return;
      case 7:
        return this.skip(8);
      case binary:
        return this.skip(this.varint());
      case list:
        return this.list(depth + 1);
      case struct:
        return this.struct(depth + 1);
      default:
        throw new Error(`unknown type ${type} at byte ${this.at} of the footer`);
    }
  }

  private list(depth: number): void {
    this.enter(depth);
    const header = this.byte();
    const size = header >> 4 === 15 ? this.varint() : header >> 4;
    // Every element takes at least one byte.
    if (size > this.bytes.length - this.at) {
      throw new Error(
        `list of ${size} elements in the ${this.bytes.length - this.at} bytes left of the footer`,
      );
    }
    for (let index = 0; index < size; index += 1) this.value(header & 0x0f, depth, true);
  }

  private enter(depth: number): void {
    this.containers += 1;
    if (depth > depthMax) throw new Error(`footer nested deeper than ${depthMax}`);
    if (this.containers > containersMax) {
      throw new Error(`footer has more than ${containersMax} lists and structs`);
    }
  }

  private byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw new Error('footer ends in the middle of a value');
    this.at += 1;
    return value;
  }

  private skip(count: number): void {
    if (count > this.bytes.length - this.at) {
      throw new Error(
        `value of ${count} bytes in the ${this.bytes.length - this.at} bytes left of the footer`,
      );
    }
    this.at += count;
  }

  /** As a float, so that more than 32 bits cannot wrap around to something small. */
  private varint(): number {
    let value = 0;
    for (let index = 0; index < varintBytesMax; index += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * index);
      if ((byte & 0x80) === 0) return value;
    }
    throw new Error(`number of more than ${varintBytesMax} bytes at byte ${this.at} of the footer`);
  }
}

/** i16, i32 and i64 are all written as varints. */
function isInteger(type: number): boolean {
  return type >= 4 && type <= 6;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
