// Secrets in an archive: a packed image, a ramdisk, an extra. First a scan, which reads; then, where it is asked
// for, a scrub, which writes the archive again without them.
//
// 1. The scrub decides by the numbers of members, so that it leaves out what the scan has found, and no more.
// 2. All names of an inode share a verdict. Where a later name makes an earlier content secret, the scan is run
//    again with that name known.
// 3. An archive among the members is looked into, and is left out as a whole where it holds secrets.

import Archive
import Codec
import Platform

/// What a scan of an archive found.
struct ArchiveSecrets: Sendable {
  struct Found: Sendable, Equatable {
    var path: [UInt8]
    var items: [SecretVerdict.Item]
    var treatment: SecretFinding.Treatment
    /// The file that a package may have published; nil where none can have.
    var published: PublishedFiles.Content?
    /// The package that published the file, which is kept then.
    var package: String?
  }
  var found: [Found] = []
  /// Members that are left out, and those that are replaced, by their numbers.
  var leftOut: Set<Int> = []
  var replaced: Set<Int> = []
  /// By the number of a member, where in `found` it is.
  var members: [Int: Int] = [:]

  var isEmpty: Bool { found.isEmpty }
}

/// A member's path below the archive's top.
func archivePath(_ path: [UInt8], top: [UInt8]) -> [UInt8] {
  var rest = path[...]
  while rest.starts(with: [0x2e, 0x2f]) || rest.first == 0x2f {
    rest = rest.dropFirst(rest.first == 0x2f ? 1 : 2)
  }
  if !top.isEmpty, rest.starts(with: top + [0x2f]) { rest = rest.dropFirst(top.count + 1) }
  return Array(rest)
}

/// Scans an archive.
final class ArchiveScan: ArchiveVisitor {
  private let examiner: SecretExaminer
  fileprivate let context: SecretContext
  fileprivate let top: [UInt8]
  private let depth: Int
  private(set) var result = ArchiveSecrets()
  /// Other names of a path's inode, which a later member had.
  private var aliases: [[UInt8]: [[UInt8]]] = [:]
  private var newAliases = false
  /// In cpio: members of an inode that came before its content.
  private var waiting: [[UInt8]: [(number: Int, path: [UInt8])]] = [:]
  /// In tar: verdicts of what hard links may lead to.
  private var found: [[UInt8]: Int] = [:]

  /// Archives within archives within this one are not looked into.
  static let maxDepth = 2

  init(
    _ examiner: SecretExaminer, _ context: SecretContext, top: [UInt8] = [], depth: Int = 0
  ) {
    self.examiner = examiner
    self.context = context
    self.top = top
    self.depth = depth
  }

  /// Scans a stream to its end.
  /// - Parameter open: gives the stream from its beginning; it may be asked twice.
  /// - Throws: `ArchiveError` for an archive that is not understood.
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
    return examiner.wantsContent(path, sizeBytes: member.sizeBytes, context)
  }

  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberFate {
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
    let fate = verdict.scrubbed.map { MemberFate.replaced($0) } ?? .leftOut
    mark(member.number, fate, number)
    found[path] = number
    if let inode = member.inode, fate == .leftOut {
      for other in waiting[inode] ?? [] { mark(other.number, .leftOut, number) }
    }
    return fate
  }

  private func examine(_ path: [UInt8], _ content: [UInt8]?, _ size: UInt64) -> SecretVerdict? {
    let rules = rules(path)
    guard let content else {
      return examiner.examine(path, rules, nil, sizeBytes: size, context)
    }
    let isProgram = content.withUnsafeBytes { bytes in
      SecretExaminer.isProgram(bytes)
        || size > SecretExaminer.maxBytes && !SecretExaminer.isText(bytes)
    }
    if rules.isEmpty {
      if isProgram { return nil }
      if !examiner.looksForNames(path, context),
        !content.withUnsafeBytes({ examiner.forms.mayMatch($0) })
      {
        return nil
      }
    }
    return examiner.examine(path, rules, isProgram ? nil : content, sizeBytes: size, context)
  }

  /// A hard link of tar: its content came under another name.
  private func visitLink(_ member: WalkedMember, _ path: [UInt8]) -> MemberFate {
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
      ArchiveSecrets.Found(
        path: path, items: verdict.items,
        treatment: verdict.scrubbed == nil ? .leftOut : .blanked,
        published: content.flatMap { PublishedFiles.candidate(path, verdict, $0) }))
    return result.found.count - 1
  }

  private func mark(_ number: Int, _ fate: MemberFate, _ index: Int) {
    result.members[number] = index
    switch fate {
    case .kept: break
    case .leftOut: result.leftOut.insert(number)
    case .replaced: result.replaced.insert(number)
    }
  }

  // MARK: Archives within

  private func isArchiveName(_ path: [UInt8]) -> Bool {
    depth < ArchiveScan.maxDepth && ArchiveNames.mayBeArchive(path, context)
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
      // Documented: an archive within, in a form that is not read, is not looked into.
      return
    }
    for found in inner.result.found {
      result.found.append(
        ArchiveSecrets.Found(
          path: path + [0x3a] + found.path, items: found.items, treatment: .leftOut,
          published: nil))
      mark(member.number, .leftOut, result.found.count - 1)
    }
  }
}

/// The name that root trees have in archives.
enum ImageRootName {
  static let bytes = Array("rootimg".utf8)
}

/// Names of files that are looked into as archives.
enum ArchiveNames {
  private static let endings = [
    ".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst",
    ".cpio", ".cpio.gz", ".cpio.xz", ".cpio.zst", ".cgz",
  ].map { Array($0.utf8) }

  /// - Parameter path: below a root tree's top; ramdisks lie in boot/.
  static func mayBeArchive(_ path: [UInt8], _ context: SecretContext) -> Bool {
    let name = path[(path.lastIndex(of: 0x2f).map { $0 + 1 } ?? 0)...]
    if name.starts(with: "initr".utf8) || name.starts(with: "initramfs".utf8) { return true }
    return endings.contains { name.count > $0.count && name.suffix($0.count).elementsEqual($0) }
  }
}

/// Writes an archive again without what a scan found.
final class ArchiveScrub: ArchiveVisitor {
  private let secrets: ArchiveSecrets
  private let examiner: SecretExaminer
  private let scan: ArchiveScan

  init(
    _ secrets: ArchiveSecrets, _ examiner: SecretExaminer, _ context: SecretContext, top: [UInt8]
  ) {
    self.secrets = secrets
    self.examiner = examiner
    scan = ArchiveScan(examiner, context, top: top)
  }

  private func stays(_ number: Int) -> Bool {
    secrets.members[number].map { secrets.found[$0].treatment == .kept } ?? false
  }

  func wantsContent(_ member: WalkedMember) -> Bool {
    secrets.replaced.contains(member.number)
  }

  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberFate {
    if stays(member.number) { return .kept }
    if secrets.leftOut.contains(member.number) { return .leftOut }
    guard secrets.replaced.contains(member.number), let content else { return .kept }
    let path = archivePath(member.path, top: scan.topName)
    var rules = examiner.paths.rules(for: path)
    // A name of the inode that made it a finding may be another one.
    if let index = secrets.members[member.number] {
      let known = Set(secrets.found[index].items.map(\.rule))
      rules += SecretRule.table.filter { rule in
        known.contains(rule.id) && !rules.contains { $0.id == rule.id }
      }
    }
    let verdict = examiner.examine(
      path, rules, content, sizeBytes: UInt64(content.count), scan.fileContext)
    guard let bytes = verdict?.scrubbed else { return .leftOut }
    return .replaced(bytes)
  }

  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws {}
}

extension ArchiveScan {
  var topName: [UInt8] { top }
  var fileContext: SecretContext { context }
}
