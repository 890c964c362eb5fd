// A bundle into the store, read once, as a stream, before anything else is decided.
//
// 1. The bundle is hostile. Only files and directories are taken; a name that is absolute, holds
//    ".." or control characters, stands twice (or for a file and a folder) or lies too deep refuses
//    the whole bundle; links and devices do too, and a stream that expands like a bomb.
// 2. Nothing outside the store is written here: members become blobs, the manifest stays in memory.

import Archive
import Codec
import Platform
import Store

/// A member of a bundle, in the store.
public struct BundleFile: Sendable {
  /// Inside the image's folder: "kernel", "extra/myscript1".
  public let name: String
  public let blob: Digest
  public let sizeBytes: UInt64
  public let member: TarMember
}

/// What a bundle holds.
public struct BundleContent: Sendable {
  /// The image's folder; empty where the manifest lies at the top.
  public var folder = ""
  public var manifest: [UInt8] = []
  public var files: [String: BundleFile] = [:]
}

/// Why a bundle was refused.
public struct BundleError: ExplainedError {
  public let object: String
  public let finding: String
  public let advice: String
  public init(_ object: String, _ finding: String, advice: String = "") {
    self.object = object
    self.finding = finding
    self.advice = advice
  }
}

/// Reads bundles into a session.
public struct BundleReader: Sendable {
  static let maxMembers = 100_000
  static let maxNameBytes = 16 << 20
  static let maxManifestBytes: UInt64 = 16 << 20

  private let progress: Progress

  public init(progress: Progress) { self.progress = progress }

  /// Reads a bundle to its end.
  /// - Parameter source: the compressed stream.
  /// - Throws: `BundleError`, `StoreError`, and what the source throws.
  public func read(
    _ source: @escaping @Sendable (UnsafeMutableRawBufferPointer) throws -> Int,
    into session: WriteSession
  ) throws -> BundleContent {
    let content = Monitor<BundleContent>(BundleContent())
    let isTaken = Monitor(false)
    // One thread reads; the others compress the frames that it fills.
    try session.run { worker in
      let isFirst = isTaken.withLock { taken in
        defer { taken = true }
        return !taken
      }
      if isFirst { try read(source, worker, content) }
    }
    let result = content.withLock { $0 }
    guard !result.manifest.isEmpty else {
      throw BundleError(
        "the bundle", "Failed to find manifest.xml file in image bundle",
        advice: "Check that the file is one that imgexport wrote")
    }
    return result
  }

  private func read(
    _ source: @escaping (UnsafeMutableRawBufferPointer) throws -> Int, _ worker: SessionWorker,
    _ content: Monitor<BundleContent>
  ) throws {
    let plain = DecompressingReader(source)
    let tar = TarReader { try plain.read($0) }
    var blobs = BlobIngester()
    var found = BundleContent()
    var names = MemberNames()
    var current: [UInt8] = []
    var members = 0
    var nameBytes = 0
    do {
      while let member = try tar.next() {
        current = member.path
        members += 1
        guard members <= BundleReader.maxMembers else {
          throw BundleError("the bundle", "has more than \(BundleReader.maxMembers) members")
        }
        nameBytes += member.path.count
        guard nameBytes <= BundleReader.maxNameBytes else {
          throw BundleError(
            "the bundle", "has names of more than \(BundleReader.maxNameBytes) bytes")
        }
        let path = try cleanPath(member)
        try names.add(path, isFolder: member.kind == .directory, shown(member))
        guard member.kind == .file else { continue }
        let name = path.last ?? ""
        if name == "manifest.xml", path.count <= 2 {
          guard found.manifest.isEmpty else {
            throw BundleError(
              "the bundle", "holds more than one image, which this version does not import",
              advice: "Import it with xCAT's own imgimport")
          }
          found.folder = path.dropLast().joined(separator: "/")
          found.manifest = try readManifest(tar, member)
          continue
        }
        let full = path.joined(separator: "/")
        let blob = try blobs.ingest(worker) { target in
          let n = try tar.read(target)
          progress.add(bytes: UInt64(n))
          return n
        }
        guard blob.sizeBytes == member.sizeBytes else {
          throw BundleError(shown(member), "ends too early")
        }
        progress.add(items: 1)
        found.files[full] = BundleFile(
          name: full, blob: blob.id, sizeBytes: blob.sizeBytes, member: member)
      }
      try plain.drain()
    } catch let error as ArchiveError {
      let place = current.isEmpty ? "" : " (in or after \(shown(current)))"
      throw BundleError(
        error.member.isEmpty ? "the bundle" : shown(error.member),
        error.member.isEmpty ? error.finding + place : error.finding,
        advice: "Nothing was imported; fetch the bundle again and compare its checksum, or, where "
          + "its origin is trusted and it only expands much, import what 'gzip -dc' makes of it")
    }
    try found.enterFolder()
    content.withLock { $0 = found }
  }

  /// The components of a member's name, checked.
  private func cleanPath(_ member: TarMember) throws(BundleError) -> [String] {
    let object = shown(member)
    switch member.kind {
    case .file, .directory: break
    default:
      throw BundleError(
        object, "is neither a file nor a directory, which no bundle of a stateless image holds",
        advice: "Nothing was imported; do not trust this bundle")
    }
    guard member.path.first != 0x2f else {
      throw BundleError(
        object, "has an absolute name", advice: "Nothing was imported; do not trust this bundle")
    }
    var parts: [String] = []
    for part in member.path.split(separator: 0x2f) where Array(part) != [0x2e] {
      guard Array(part) != [0x2e, 0x2e] else {
        throw BundleError(
          object, "leads out of the bundle",
          advice: "Nothing was imported; do not trust this bundle")
      }
      guard part.count <= 255 else {
        throw BundleError(object, "has a name of more than 255 bytes, which no file can have")
      }
      guard let text = String(validating: part, as: UTF8.self) else {
        throw BundleError(object, "has a name that is not UTF-8")
      }
      guard !text.holdsControlCharacters else {
        throw BundleError(
          object, "has a control character in its name",
          advice: "Nothing was imported; do not trust this bundle")
      }
      parts.append(text)
    }
    guard parts.count <= 64 else { throw BundleError(object, "lies too deep") }
    guard !parts.isEmpty || member.kind == .directory else {
      throw BundleError("member '\(printable(member.path))'", "is a file that has no name")
    }
    return parts
  }

  /// A member for a message, which a stranger's name must not flood.
  private func shown(_ path: [UInt8]) -> String {
    path.count <= 255 ? "member \(printable(path))" : "member \(printable(path.prefix(255)))…"
  }

  private func shown(_ member: TarMember) -> String { shown(member.path) }

  private func readManifest(_ tar: TarReader, _ member: TarMember) throws -> [UInt8] {
    guard member.sizeBytes > 0, member.sizeBytes <= BundleReader.maxManifestBytes else {
      throw BundleError("manifest.xml", "has \(member.sizeBytes) bytes")
    }
    var bytes = [UInt8](repeating: 0, count: Int(member.sizeBytes))
    var done = 0
    while done < bytes.count {
      done += try bytes.withUnsafeMutableBytes {
        try tar.read(UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
      }
    }
    return bytes
  }
}

/// What the members seen so far are: no two of one name, and no file above another member.
private struct MemberNames {
  private var files: Set<String> = []
  /// Also those that are only implied by what lies in them.
  private var folders: Set<String> = []

  mutating func add(_ path: [String], isFolder: Bool, _ object: String) throws(BundleError) {
    guard let last = path.last else { return }
    var name = ""
    for part in path.dropLast() {
      name += part
      try addFolder(name, object)
      name += "/"
    }
    name += last
    if isFolder { return try addFolder(name, object) }
    guard !folders.contains(name), files.insert(name).inserted else { throw twice(object) }
  }

  private mutating func addFolder(_ name: String, _ object: String) throws(BundleError) {
    guard !files.contains(name) else { throw twice(object) }
    folders.insert(name)
  }

  private func twice(_ object: String) -> BundleError {
    BundleError(
      object, "stands twice in the bundle, or as a file and as a folder",
      advice: "Nothing was imported; do not trust this bundle")
  }
}

extension BundleContent {
  /// Names relative to the image's folder; whatever lies elsewhere belongs to no image.
  fileprivate mutating func enterFolder() throws(BundleError) {
    guard !folder.isEmpty else { return }
    var inside: [String: BundleFile] = [:]
    for (name, file) in files {
      guard name.utf8.starts(with: (folder + "/").utf8) else {
        throw BundleError("member \(name)", "lies outside the image's folder \(folder)/")
      }
      inside[String(decoding: name.utf8.dropFirst(folder.utf8.count + 1), as: UTF8.self)] = file
    }
    files = inside
  }
}

extension DecompressingReader {
  /// Reads to the end, so that the checksum of the stream is checked.
  fileprivate func drain() throws {
    var rest = [UInt8](repeating: 0, count: 64 << 10)
    while try rest.withUnsafeMutableBytes({ try read($0) }) > 0 {}
  }
}
