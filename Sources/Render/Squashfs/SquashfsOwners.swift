// The owner table: inodes refer to users and groups by index in one list of numbers.

/// The distinct user and group numbers of an image.
struct SquashfsOwners {
  private(set) var numbers: [UInt32] = []
  private var indices: [UInt32: UInt16] = [:]

  /// Returns the index of a number, and adds it if it is new.
  /// - Throws: `RenderError` for the 65,536th distinct number.
  mutating func index(of number: UInt32) throws(RenderError) -> UInt16 {
    if let known = indices[number] { return known }
    guard numbers.count < Squashfs.maxOwners else {
      throw RenderError(
        "squashfs image",
        "has files of more than \(Squashfs.maxOwners) users and groups, which the format cannot hold",
        hint: "Pack the image as cpio or tar, or give its files fewer owners")
    }
    let index = UInt16(numbers.count)
    numbers.append(number)
    indices[number] = index
    return index
  }
}
