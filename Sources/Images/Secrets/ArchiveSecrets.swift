// Finds secrets in an archive (a packed image, a ramdisk or an extra), and rewrites the archive without them.
// `ArchiveScan` only reads; `ArchiveScrub` writes the new archive.
//
// 1. The scrub selects members by their numbers, so it leaves out exactly the members that the scan found.
// 2. All names of an inode share a verdict. If a later name makes an earlier member a finding, the scan runs
//    again with both names.
// 3. Archives inside the archive are scanned, too. One that holds a secret is left out as a whole.

import Archive
import Platform

/// The findings of an archive scan.
struct ArchiveSecrets: Sendable {
  struct Finding: Sendable, Equatable {
    var path: [UInt8]
    var items: [SecretVerdict.Item]
    var treatment: SecretFinding.Treatment
    /// The digests of the file if a package may have published it; nil otherwise.
    var published: PublishedFiles.Content?
    /// The package that published the file. Such a file is kept.
    var package: String?
  }
  var found: [Finding] = []
  /// The numbers of the members that are left out, and of those that are replaced.
  var leftOut: Set<Int> = []
  var replaced: Set<Int> = []
  /// The index in `found` of each member's finding, by the member's number.
  var members: [Int: Int] = [:]

  var isEmpty: Bool { found.isEmpty }
}

/// Returns a member's path below the archive's top.
func archivePath(_ path: [UInt8], top: [UInt8]) -> [UInt8] {
  var rest = path[...]
  while rest.starts(with: [0x2e, 0x2f]) || rest.first == 0x2f {
    rest = rest.dropFirst(rest.first == 0x2f ? 1 : 2)
  }
  if !top.isEmpty, rest.starts(with: top + [0x2f]) { rest = rest.dropFirst(top.count + 1) }
  return Array(rest)
}

/// Scans an archive for secrets.
final class ArchiveScan: ArchiveVisitor {
  private let examiner: SecretExaminer
  fileprivate let scope: SecretScanScope
  fileprivate let top: [UInt8]
  private let depth: Int
  private(set) var result = ArchiveSecrets()
  /// Other names of a path's inode, from later members.
  private var aliases: [[UInt8]: [[UInt8]]] = [:]
  private var newAliases = false
  /// cpio only: the members of an inode that precede its content.
  private var waiting: [[UInt8]: [(number: Int, path: [UInt8])]] = [:]
  /// tar only: the indices of the findings that a hard link may refer to, by path.
  private var found: [[UInt8]: Int] = [:]

  /// The number of levels of nested archives that are scanned.
  static let maxDepth = 2

  init(
    _ examiner: SecretExaminer, _ scope: SecretScanScope, top: [UInt8] = [], depth: Int = 0
  ) {
    self.examiner = examiner
    self.scope = scope
    self.top = top
    self.depth = depth
  }

  /// Scans a stream to its end.
  /// - Parameter open: returns the stream from its beginning. It is called once or twice.
  /// - Throws: `ArchiveError` if the archive's format is unknown or damaged.
  func run(_ open: () throws -> ByteSource) throws -> ArchiveSecrets {
    try ArchiveWalk(self).run(try open())
    if newAliases {
      (result, waiting, found, newAliases) = (ArchiveSecrets(), [:], [:], false)
      try ArchiveWalk(self).run(try open())
    }
    return result
  }

  private func rules(_ path: [UInt8]) -> [SecretRule] {
    let names = [path] + (aliases[path] ?? [])
    var rules: [SecretRule] = []
    for name in names {
      for rule in examiner.paths.rules(for: name) where !rules.contains(where: { $0.id == rule.id })
      {
        rules.append(rule)
      }
    }
    return rules
  }

  func wantsContent(_ member: WalkedMember) -> Bool {
    let path = archivePath(member.path, top: top)
    if isArchiveName(path) { return false }
    if member.sizeBytes > SecretExaminer.maxTextBytes { return false }
    if !examiner.paths.rules(for: path).isEmpty || aliases[path] != nil { return true }
    return examiner.wantsContent(path, sizeBytes: member.sizeBytes, scope)
  }

  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberAction {
    let path = archivePath(member.path, top: top)
    if member.isHardLink { return visitLink(member, path) }
    guard member.isFile else { return .kept }
    var names = [path]
    if let inode = member.inode {
      if member.sizeBytes == 0 {
        waiting[inode, default: []].append((member.number, path))
        return .kept
      }
      for other in waiting[inode] ?? [] where !names.contains(other.path) {
        names.append(other.path)
      }
      if names.count > 1 { aliases[path, default: []] += names.dropFirst() }
    }
    guard let verdict = examine(path, content, member.sizeBytes) else { return .kept }
    let number = record(path, verdict, content)
    let action = verdict.scrubbed.map { MemberAction.replaced($0) } ?? .leftOut
    mark(member.number, action, number)
    found[path] = number
    if let inode = member.inode, action == .leftOut {
      for other in waiting[inode] ?? [] { mark(other.number, .leftOut, number) }
    }
    return action
  }

  private func examine(_ path: [UInt8], _ content: [UInt8]?, _ size: UInt64) -> SecretVerdict? {
    let rules = rules(path)
    guard let content else {
      return examiner.examine(path, rules, nil, sizeBytes: size, scope)
    }
    let isProgram = content.withUnsafeBytes { bytes in
      SecretExaminer.isProgram(bytes)
        || size > SecretExaminer.maxBytes && !SecretExaminer.isText(bytes)
    }
    if rules.isEmpty {
      if isProgram { return nil }
      if !examiner.looksForNames(path, scope),
        !content.withUnsafeBytes({ examiner.forms.mayMatch($0) })
      {
        return nil
      }
    }
    return examiner.examine(path, rules, isProgram ? nil : content, sizeBytes: size, scope)
  }

  /// Handles a hard link of tar, whose content is in an earlier member.
  private func visitLink(_ member: WalkedMember, _ path: [UInt8]) -> MemberAction {
    let target = archivePath(member.linkTarget ?? [], top: top)
    if !(aliases[target]?.contains(path) ?? false), !examiner.paths.rules(for: path).isEmpty {
      aliases[target, default: []].append(path)
      newAliases = true
    }
    guard let number = found[target] else { return .kept }
    if result.found[number].treatment == .leftOut { mark(member.number, .leftOut, number) }
    return result.found[number].treatment == .leftOut ? .leftOut : .kept
  }

  private func record(
    _ path: [UInt8], _ verdict: SecretVerdict, _ content: [UInt8]?
  ) -> Int {
    result.found.append(
      ArchiveSecrets.Finding(
        path: path, items: verdict.items,
        treatment: verdict.scrubbed == nil ? .leftOut : .blanked,
        published: content.flatMap { PublishedFiles.candidate(path, verdict, $0) }))
    return result.found.count - 1
  }

  private func mark(_ number: Int, _ action: MemberAction, _ index: Int) {
    result.members[number] = index
    switch action {
    case .kept: break
    case .leftOut: result.leftOut.insert(number)
    case .replaced: result.replaced.insert(number)
    }
  }

  // MARK: Archives within

  private func isArchiveName(_ path: [UInt8]) -> Bool {
    depth < ArchiveScan.maxDepth && ArchiveNames.mayBeArchive(path, scope)
  }

  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws {
    let path = archivePath(member.path, top: top)
    guard isArchiveName(path) else { return }
    let reader = PeekingReader(read)
    guard ArchiveWalk.isArchive(try reader.peek(512)) else { return }
    let inner = ArchiveScan(examiner, .tree, top: ImageRootName.bytes, depth: depth + 1)
    do {
      try ArchiveWalk(inner).run { try reader.read($0) }
    } catch is ArchiveError {
      // docs/secrets.md: a nested archive in an unsupported format is not scanned.
      return
    }
    for found in inner.result.found {
      result.found.append(
        ArchiveSecrets.Finding(
          path: path + [0x3a] + found.path, items: found.items, treatment: .leftOut,
          published: nil))
      mark(member.number, .leftOut, result.found.count - 1)
    }
  }
}

/// The name of the root tree in archives.
enum ImageRootName {
  static let bytes = Array("rootimg".utf8)
}

/// Recognizes the names of files that are scanned as archives.
enum ArchiveNames {
  private static let endings = [
    ".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst",
    ".cpio", ".cpio.gz", ".cpio.xz", ".cpio.zst", ".cgz",
  ].map { Array($0.utf8) }

  /// Returns whether a file's name is that of an archive or a ramdisk.
  /// - Parameter path: the path below a root tree's top.
  static func mayBeArchive(_ path: [UInt8], _ scope: SecretScanScope) -> Bool {
    let name = path[(path.lastIndex(of: 0x2f).map { $0 + 1 } ?? 0)...]
    if name.starts(with: "initr".utf8) || name.starts(with: "initramfs".utf8) { return true }
    return endings.contains { name.count > $0.count && name.suffix($0.count).elementsEqual($0) }
  }
}

/// Rewrites an archive without the findings of a scan.
final class ArchiveScrub: ArchiveVisitor {
  private let secrets: ArchiveSecrets
  private let examiner: SecretExaminer
  private let scan: ArchiveScan

  init(
    _ secrets: ArchiveSecrets, _ examiner: SecretExaminer, _ scope: SecretScanScope, top: [UInt8]
  ) {
    self.secrets = secrets
    self.examiner = examiner
    scan = ArchiveScan(examiner, scope, top: top)
  }

  private func stays(_ number: Int) -> Bool {
    secrets.members[number].map { secrets.found[$0].treatment == .kept } ?? false
  }

  func wantsContent(_ member: WalkedMember) -> Bool {
    secrets.replaced.contains(member.number)
  }

  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberAction {
    if stays(member.number) { return .kept }
    if secrets.leftOut.contains(member.number) { return .leftOut }
    guard secrets.replaced.contains(member.number), let content else { return .kept }
    let path = archivePath(member.path, top: scan.topName)
    var rules = examiner.paths.rules(for: path)
    // Another name of the inode may have made it a finding.
    if let index = secrets.members[member.number] {
      let known = Set(secrets.found[index].items.map(\.rule))
      rules += SecretRule.table.filter { rule in
        known.contains(rule.id) && !rules.contains { $0.id == rule.id }
      }
    }
    let verdict = examiner.examine(
      path, rules, content, sizeBytes: UInt64(content.count), scan.fileScope)
    guard let bytes = verdict?.scrubbed else { return .leftOut }
    return .replaced(bytes)
  }

  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws {}
}

extension ArchiveScan {
  var topName: [UInt8] { top }
  var fileScope: SecretScanScope { scope }
}
