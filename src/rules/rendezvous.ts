/**
 * Which member of a group owns an item: the one with the largest weight for it. If a member joins or leaves, only its own items change their
 * owner. Pure. (D. Thaler and C. Ravishankar, "Using name-based mappings to increase hit rates", 1998: highest random weight hashing.)
 */

/** A member or an item with its hash. */
export interface Hashed {
  readonly name: string
  readonly hash: number
}

/** 32 bits of FNV-1a over the code units of a name, mixed once more, because similar names have similar hashes. */
export function hashed(name: string): Hashed {
  let hash = 0x811c9dc5
  for (let index = 0; index < name.length; index += 1) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193)
  return { name, hash: mix(hash) }
}

/** @param members not empty. @returns the owner, the same for any order of the members. */
export function ownerOf(item: Hashed, members: readonly Hashed[]): Hashed {
  let owner = members[0] as Hashed
  let largest = weightOf(item, owner)
  for (let index = 1; index < members.length; index += 1) {
    const member = members[index] as Hashed
    const weight = weightOf(item, member)
    if (weight < largest || (weight === largest && member.name < owner.name)) continue
    owner = member
    largest = weight
  }
  return owner
}

function weightOf(item: Hashed, member: Hashed): number {
  return mix(Math.imul(item.hash, 0x9e3779b1) + member.hash)
}

/** A bijection of 32 bits that changes about half of them for each changed bit. (The finalizer of MurmurHash3.) */
function mix(value: number): number {
  let mixed = value | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
