// The table of owners: inodes name users and groups by places in one list of numbers.

/// The distinct user and group numbers of an image.
struct SquashfsOwners {
  private(set) var numbers: [UInt32] = []
  private var places: [UInt32: UInt16] = [:]

  /// The place of a number, which is added where it is new.
  /// - Throws: `RenderError` for the 65,536th distinct one.
  mutating func place(of number: UInt32) throws(RenderError) -> UInt16 {
    if let known = places[number] { return known }
    guard numbers.count < Squashfs.maxOwners else {
      throw RenderError(
        "squashfs image",
        "has files of more than \(Squashfs.maxOwners) users and groups, which the format cannot hold",
        advice: "Pack the image as cpio or tar, or give its files fewer owners")
    }
    let place = UInt16(numbers.count)
    numbers.append(number)
    places[number] = place
    return place
  }
}
