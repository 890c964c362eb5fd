// Maps the names of users and groups to numbers.

/// The numbers of users or groups by name, from the lines of a passwd or group file.
struct AccountNumbers {
  private var numbers: [[UInt8]: UInt32] = [Array("root".utf8): 0]

  init(_ bytes: [UInt8]) {
    for line in bytes.split(separator: 0x0a) {
      let fields = line.split(separator: 0x3a, maxSplits: 3, omittingEmptySubsequences: false)
      guard fields.count >= 3, let number = UInt32(String(decoding: fields[2], as: UTF8.self)),
        number != .max
      else { continue }
      numbers[Array(fields[0])] = number
    }
  }

  func number(_ name: [UInt8]) -> UInt32? { numbers[name] }
}
