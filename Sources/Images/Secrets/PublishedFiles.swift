// Decides which findings are published: files that a package of the tree's own database installs. Examples
// are test keys of Python and sample passwords in configuration files. Everybody has them.
//
// 1. Only a file that its package installed unchanged counts, by the digest in the database.
// 2. Any file below /usr, except below /usr/local, counts. In /etc only samples count, whose values would be
//    blanked: a key that a site's own package installs in /etc is a secret.
// 3. A package database that cannot be read publishes nothing.

import Archive
import Codec
import Packages
import Platform

/// Looks up findings in a package database.
enum PublishedFiles {
  /// The digests of a file that a package may have published.
  struct Content: Sendable, Hashable {
    let sha256: Digest
    let md5: [UInt8]
  }

  private static let prefixes = ["usr/", "lib/", "lib64/", "bin/", "sbin/"].map { Array($0.utf8) }
  private static let local = Array("usr/local/".utf8)
  private static let etc = Array("etc/".utf8)
  /// Rules whose files in /etc count as samples. Packages of NSS install an empty key database.
  private static let sampleRules: Set<String> = ["nss-database"]

  /// Returns a file's digests if a package may have published it.
  static func candidate(
    _ path: [UInt8], _ verdict: SecretVerdict, _ bytes: [UInt8]
  ) -> Content? {
    let isSystem = prefixes.contains { path.starts(with: $0) } && !path.starts(with: local)
    let isSample =
      path.starts(with: etc)
      && (verdict.scrubbed != nil && verdict.items.allSatisfy { $0.kind != .passwordHash }
        || verdict.items.allSatisfy { sampleRules.contains($0.rule) })
    guard isSystem || isSample else { return nil }
    return Content(sha256: SHA256.digest(of: bytes), md5: MD5.digest(of: bytes) ?? [])
  }

  /// Returns the package that published each of these files. Files that no package published are absent.
  static func packages(
    of files: [[UInt8]: Content], in tree: some RootTree
  ) -> [[UInt8]: String] {
    guard !files.isEmpty, let (database, _) = try? PackageDatabase.find(in: tree),
      let owners = try? database.owners(of: Set(files.keys), in: tree)
    else { return [:] }
    var published: [[UInt8]: String] = [:]
    for (path, content) in files {
      for owner in owners[path] ?? [] where brought(owner, path, content, database, tree) {
        published[path] = owner.package.name
      }
    }
    return published
  }

  private static func brought(
    _ owner: PackageOwnership, _ path: [UInt8], _ content: Content, _ database: PackageDatabase,
    _ tree: some RootTree
  ) -> Bool {
    switch owner.shipped {
    case .sha256(let digest): return digest == content.sha256.bytes
    case .md5(let digest): return !content.md5.isEmpty && digest == content.md5
    case nil: break
    }
    guard database.kind == .dpkg, !content.md5.isEmpty else { return false }
    // dpkg lists the digests of files that are not conffiles in a file of the package.
    let name = Array(owner.package.name.utf8)
    let base = Array(name.prefix { $0 != ASCII.colon })
    let desired = Array(hex(content.md5).utf8)
    for stem in [name, base] {
      let file = Array("var/lib/dpkg/info/".utf8) + stem + Array(".md5sums".utf8)
      guard let list = try? tree.file(file, limitBytes: 64 << 20) else { continue }
      for line in list.split(separator: ASCII.newline) where line.starts(with: desired) {
        let listed = line.dropFirst(desired.count).drop { ASCII.isSpace($0) }
        if listed.elementsEqual(path) || path.elementsEqual("usr/".utf8 + listed) { return true }
      }
    }
    return false
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}

/// The package database of an archived root tree. Its files are held in memory.
final class ArchiveRootTree: RootTree, ArchiveVisitor {
  private let top: [UInt8]
  private var files: [[UInt8]: [UInt8]] = [:]
  private var links: [[UInt8]: [UInt8]] = [:]
  private var heldBytes = 0

  private static let maxBytes = 256 << 20
  private static let directories = [
    "var/lib/dpkg/", "var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/",
  ].map { Array($0.utf8) }

  init(top: [UInt8]) { self.top = top }

  func wantsContent(_ member: WalkedMember) -> Bool {
    let path = archivePath(member.path, top: top)
    guard ArchiveRootTree.directories.contains(where: { path.starts(with: $0) }),
      member.sizeBytes < UInt64(ArchiveRootTree.maxBytes - heldBytes)
    else { return false }
    heldBytes += Int(member.sizeBytes)
    return true
  }

  func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberAction {
    let path = archivePath(member.path, top: top)
    if let content { files[path] = content }
    if !member.isHardLink, let target = member.linkTarget, path.count < 64 { links[path] = target }
    return .kept
  }

  func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws {}

  func file(_ path: [UInt8], limitBytes: Int) throws -> [UInt8]? {
    files[path].flatMap { $0.count <= limitBytes ? $0 : nil }
  }

  func directory(_ path: [UInt8]) throws -> [(name: [UInt8], linkTarget: [UInt8]?)] {
    let prefix = path.isEmpty ? [] : path + [0x2f]
    func name(_ file: [UInt8]) -> [UInt8]? {
      guard file.starts(with: prefix) else { return nil }
      let rest = file[prefix.count...]
      return rest.contains(0x2f) || rest.isEmpty ? nil : Array(rest)
    }
    return files.keys.compactMap(name).map { ($0, nil) }
      + links.compactMap { file, target in name(file).map { ($0, target) } }
  }
}
