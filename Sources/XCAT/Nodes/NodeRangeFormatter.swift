// Folds many node names into few ranges: node001, node002, … node064 are node001-node064, as in
// noderange(3). The form has no brackets, which a shell would take for a pattern.

/// Folds names of nodes.
enum NodeRangeFormatter {
  /// The key of names that differ in one number only.
  private struct Form: Hashable {
    let before: String
    let behind: String
    /// The number of digits with leading zeros; 0 for numbers without them.
    let width: Int
  }

  private struct Numbered {
    let name: String
    let before: String
    let digits: String
    let behind: String
    let number: Int
    var isPadded: Bool { digits.utf8.first == UInt8(ascii: "0") && digits.utf8.count > 1 }

    /// Splits a name at its last number; nil if it has none, or nothing before it.
    init?(_ name: String) {
      let bytes = Array(name.utf8)
      func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
      guard let last = bytes.lastIndex(where: isDigit) else { return nil }
      let start = bytes[...last].lastIndex { !isDigit($0) }.map { $0 + 1 } ?? 0
      guard start > 0, last - start < 9,
        let number = Int(String(decoding: bytes[start...last], as: UTF8.self))
      else { return nil }
      self.name = name
      before = String(decoding: bytes[..<start], as: UTF8.self)
      digits = String(decoding: bytes[start...last], as: UTF8.self)
      behind = String(decoding: bytes[(last + 1)...], as: UTF8.self)
      self.number = number
    }

    var paddedForm: Form { Form(before: before, behind: behind, width: digits.utf8.count) }
    var plainForm: Form { Form(before: before, behind: behind, width: 0) }
  }

  /// Returns the ranges and the names that belong to none, sorted together.
  static func parts(_ names: [String]) -> [String] {
    var parts: [String] = []
    var numbered: [Numbered] = []
    for name in names {
      if let cut = Numbered(name) { numbered.append(cut) } else { parts.append(name) }
    }
    // node100 belongs to node001 if that is in the list, else to node9.
    let padded = Set(numbered.filter(\.isPadded).map(\.paddedForm))
    let forms = Dictionary(grouping: numbered) {
      padded.contains($0.paddedForm) ? $0.paddedForm : $0.plainForm
    }
    for members in forms.values {
      var run: [Numbered] = []
      func end() {
        if run.count > 2, let first = run.first, let last = run.last {
          parts.append("\(first.name)-\(last.name)")
        } else {
          parts += run.map(\.name)
        }
        run = []
      }
      for member in members.sorted(by: { $0.number < $1.number }) {
        if let last = run.last, last.number + 1 != member.number { end() }
        run.append(member)
      }
      end()
    }
    return parts.sorted(by: byBytes)
  }
}
