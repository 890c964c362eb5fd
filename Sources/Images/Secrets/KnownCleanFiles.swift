// Remembers files without findings, so that later scans do not read them again. Each takes 16 bytes in a file
// of the store's cache.
//
// 1. A key stands for content, or for content and path if the verdict depends on the path. Otherwise only the
//    rules decide a verdict; the name of the cache file holds their fingerprint.
// 2. A cache file that is damaged or cannot be read counts as empty.

import Codec
import Platform
import Store

/// The set of files in a store that are known to hold no secrets.
final class KnownCleanFiles: Sendable {
  struct Key: Hashable, Sendable {
    let high: UInt64
    let low: UInt64

    init(_ digest: Digest) { (high, low) = (digest.words.0, digest.words.1) }
  }

  private struct State {
    var known: Set<Key> = []
    /// The keys that this scan has met.
    var seen: Set<Key> = []
    var hasNew = false
  }

  private static let prefix = "secrets-clean-"
  private static let magic = Array("IMGSECR1".utf8)
  private static let maxKeys = 2 << 20
  private let layout: Layout
  private let name: [UInt8]
  private let state: Monitor<State>

  /// Reads the cache.
  /// - Parameter fingerprint: a digest of the rules.
  init(_ layout: Layout, fingerprint: Digest) {
    self.layout = layout
    name = Array((KnownCleanFiles.prefix + fingerprint.hex.prefix(16)).utf8)
    var state = State()
    if let bytes = try? layout.fileSystem.readSmallFile(
      at: layout.cache.raw, name, limitBytes: KnownCleanFiles.maxKeys * 16 + 64)
    {
      state.known = KnownCleanFiles.decode(bytes) ?? []
    }
    self.state = Monitor(state)
  }

  func contains(_ key: Key) -> Bool {
    state.withLock { state in
      guard state.known.contains(key) else { return false }
      state.seen.insert(key)
      return true
    }
  }

  func add(_ keys: [Key]) {
    if keys.isEmpty { return }
    state.withLock { state in
      state.seen.formUnion(keys)
      state.hasNew = true
    }
  }

  /// Writes the keys to the cache. A failure only costs the next scan time.
  func save() {
    guard !layout.isReadOnly,
      let keys = state.withLock({ state -> Set<Key>? in
        guard state.hasNew else { return nil }
        let all = state.known.union(state.seen)
        return all.count <= KnownCleanFiles.maxKeys ? all : state.seen
      }), keys.count <= KnownCleanFiles.maxKeys
    else { return }
    let fileSystem = layout.fileSystem
    do {
      try fileSystem.replaceFile(at: layout.cache.raw, name, with: KnownCleanFiles.encode(keys))
    } catch {
      return
    }
    // Delete the cache files of other rule sets.
    let prefix = Array(KnownCleanFiles.prefix.utf8)
    for other in (try? fileSystem.names(of: layout.cache.raw)) ?? []
    where other.starts(with: prefix) && !other.starts(with: name) {
      try? fileSystem.remove(at: layout.cache.raw, other, isDirectory: false)
    }
  }

  private static func encode(_ keys: Set<Key>) -> [UInt8] {
    var writer = ByteWriter()
    writer.reserve(keys.count * 16 + 32)
    writer.raw(magic)
    writer.word64(UInt64(keys.count))
    for key in keys.sorted(by: { ($0.high, $0.low) < ($1.high, $1.low) }) {
      writer.word64(key.high)
      writer.word64(key.low)
    }
    let crc = writer.bytes.withUnsafeBytes { CRC32.of($0) }
    writer.word32(crc)
    return writer.bytes
  }

  private static func decode(_ bytes: [UInt8]) -> Set<Key>? {
    guard bytes.count >= 20, bytes.starts(with: magic) else { return nil }
    return bytes.withUnsafeBytes { buffer -> Set<Key>? in
      let body = UnsafeRawBufferPointer(rebasing: buffer[..<(buffer.count - 4)])
      var reader = ByteReader(buffer)
      var end = ByteReader(UnsafeRawBufferPointer(rebasing: buffer[(buffer.count - 4)...]))
      guard (try? end.word32()) == CRC32.of(body), (try? reader.skip(8)) != nil,
        let count = try? reader.word64(), count == UInt64(body.count - 16) / 16
      else { return nil }
      var keys: Set<Key> = []
      keys.reserveCapacity(Int(count))
      for _ in 0..<count {
        guard let high = try? reader.word64(), let low = try? reader.word64() else { return nil }
        keys.insert(Key(high: high, low: low))
      }
      return keys
    }
  }
}

extension KnownCleanFiles.Key {
  fileprivate init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Creates the key of a content, or of a content at a path.
  init(_ blob: Digest, at path: [UInt8]?, _ salt: String = "") {
    guard path != nil || !salt.isEmpty else {
      self.init(blob)
      return
    }
    self.init(SHA256.digest(of: blob.bytes + Array(salt.utf8) + [0] + (path ?? [])))
  }
}

extension SecretExaminer {
  /// A digest of the rules and of the program's version, which decide a verdict besides path and content.
  static let fingerprint: Digest = {
    let text = "\(SecretRule.table) \(SecretForm.table) 1 \(Workspace.version)"
    return SHA256.digest(of: Array(text.utf8))
  }()
}
