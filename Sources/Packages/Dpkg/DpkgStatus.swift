// The states of dpkg's packages: `var/lib/dpkg/status`, and the changes that an interrupted dpkg left
// in `updates/`. Images without dpkg (distroless) have one paragraph per file in `status.d`.
//
// 1. `updates` has files whose names are digits of one length. Their paragraphs replace those of
//    `status`, in the order of the names, as in dpkg's own readers.
// 2. A damaged paragraph drops its own package only, and a remark names it; dpkg-query would list nothing.

import Platform

/// The effective paragraphs.
struct DpkgStatus {
  private(set) var paragraphs: [DpkgParagraph] = []
  private(set) var remarks: [String] = []
  private var damagedCount = 0

  static let limitBytes = 128 << 20
  static let sumsSuffix = Array(".md5sums".utf8)
  private static let maxRemarks = 5

  /// Reads all states.
  /// - Returns: nil if the tree has neither a status file nor `status.d`.
  static func read(_ tree: some RootTree) throws -> DpkgStatus? {
    var status = DpkgStatus()
    var hasFiles = false
    let path = Dpkg.directory + Array("status".utf8)
    if let bytes = try tree.file(path, limitBytes: limitBytes) {
      hasFiles = true
      DpkgParagraph.forEach(in: bytes) { status.add($0, of: path) }
      status.paragraphs.removeAll { !$0.isListed }
    }
    try status.readUpdates(tree)
    if try status.readDirectory(tree) { hasFiles = true }
    status.paragraphs.removeAll { !$0.isListed }
    if status.damagedCount > maxRemarks {
      status.remarks.append("… and \(status.damagedCount - maxRemarks) more damaged paragraphs")
    }
    return hasFiles ? status : nil
  }

  private mutating func add(_ paragraph: DpkgParagraph, of path: [UInt8]) {
    if let defect = paragraph.defect {
      damagedCount += 1
      if damagedCount <= DpkgStatus.maxRemarks {
        remarks.append("\(printable(path)) is damaged: \(defect)")
      }
    }
    paragraphs.append(paragraph)
  }

  // MARK: updates/

  private mutating func readUpdates(_ tree: some RootTree) throws {
    let directory = Dpkg.directory + Array("updates".utf8)
    let names = try tree.directory(directory).filter { entry in
      entry.linkTarget == nil && !entry.name.isEmpty
        && entry.name.allSatisfy { (0x30...0x39).contains($0) }
    }.map { $0.name }.sorted { $0.lexicographicallyPrecedes($1) }
    if names.isEmpty { return }
    guard Set(names.map(\.count)).count == 1 else {
      throw PackagesError.damaged(directory, "has files with names of different lengths")
    }
    var index = Dictionary(grouping: paragraphs.indices) { paragraphs[$0].name }
    for name in names {
      let path = directory + [0x2f] + name
      guard let bytes = try tree.file(path, limitBytes: DpkgStatus.limitBytes) else { continue }
      var updates: [DpkgParagraph] = []
      DpkgParagraph.forEach(in: bytes) { updates.append($0) }
      for update in updates { replace(update, of: path, &index) }
    }
  }

  /// Replaces a package by its update: the one of the same architecture, or the only one of its name,
  /// whose architecture may have changed.
  private mutating func replace(
    _ update: DpkgParagraph, of path: [UInt8], _ index: inout [[UInt8]: [Int]]
  ) {
    let known = index[update.name] ?? []
    let target =
      known.first { paragraphs[$0].architecture == update.architecture }
      ?? (known.count == 1 && !(update.isMultiArchSame && paragraphs[known[0]].isMultiArchSame)
        ? known[0] : nil)
    guard let target, !update.name.isEmpty else {
      add(update, of: path)
      index[update.name, default: []].append(paragraphs.count - 1)
      return
    }
    if let defect = update.defect { remarks.append("\(printable(path)) is damaged: \(defect)") }
    paragraphs[target] = update
  }

  // MARK: status.d/

  /// Reads the files of `status.d`. Their paragraphs lack `Status`: every listed package is installed.
  private mutating func readDirectory(_ tree: some RootTree) throws -> Bool {
    let directory = Dpkg.directory + Array("status.d".utf8)
    var hasFiles = false
    let known = Set(paragraphs.map(\.name))
    for (name, link) in try tree.directory(directory).sorted(by: {
      $0.name.lexicographicallyPrecedes($1.name)
    })
    where link == nil
      && !name.suffix(DpkgStatus.sumsSuffix.count).elementsEqual(DpkgStatus.sumsSuffix)
    {
      let path = directory + [0x2f] + name
      guard let bytes = try tree.file(path, limitBytes: DpkgStatus.limitBytes) else { continue }
      hasFiles = true
      var paragraphs: [DpkgParagraph] = []
      DpkgParagraph.forEach(in: bytes) { paragraphs.append($0) }
      for var paragraph in paragraphs {
        if paragraph.state.isEmpty { paragraph.state = Array("installed".utf8) }
        if known.contains(paragraph.name) { continue }
        paragraph.bareFile = path
        add(paragraph, of: path)
      }
    }
    return hasFiles
  }
}
