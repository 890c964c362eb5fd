// A directory of an earlier snapshot, in which the earlier versions of new files are looked for.

import Platform
import Store

/// The entries of a directory of an earlier snapshot.
final class EarlierDirectory {
  private let entries: [Entry]
  /// The positions of the entries by their names without digits.
  private var positions: [[UInt8]: [Int]]?

  init(_ entries: [Entry]) { self.entries = entries }

  var count: Int { entries.count }

  /// Returns the entry of the name, or else of a name that differs only in digits.
  func entry(_ name: [UInt8], _ kind: FileKind) -> Entry? {
    let index = entries.partitioningIndex { !precedes($0.name, name) }
    if index < entries.count, entries[index].name == name, isOf(kind, entries[index]) {
      return entries[index]
    }
    // The last of the most similar names: versions grow.
    var best: (entry: Entry, common: Int)?
    for position in candidates()[EarlierDirectory.pattern(of: name)] ?? [] {
      let entry = entries[position]
      let common = zip(entry.name, name).prefix { $0 == $1 }.count
      if isOf(kind, entry), common >= best?.common ?? 0 { best = (entry, common) }
    }
    return best?.entry
  }

  private func candidates() -> [[UInt8]: [Int]] {
    if let positions { return positions }
    var positions: [[UInt8]: [Int]] = [:]
    for (i, entry) in entries.enumerated() {
      positions[EarlierDirectory.pattern(of: entry.name), default: []].append(i)
    }
    self.positions = positions
    return positions
  }

  private func isOf(_ kind: FileKind, _ entry: Entry) -> Bool {
    switch (kind, entry.content) {
    case (.file, .file), (.directory, .directory): true
    default: false
    }
  }

  /// Returns a name with one zero in place of each number.
  private static func pattern(of name: [UInt8]) -> [UInt8] {
    var pattern: [UInt8] = []
    for byte in name {
      let isDigit = (0x30...0x39).contains(byte)
      if isDigit, pattern.last == 0x30 { continue }
      pattern.append(isDigit ? 0x30 : byte)
    }
    return pattern
  }
}
