// The keys of a management node: the private key that it signs with, and the public keys that it trusts.
//
//     /etc/imgstore/signing-key.pem          PKCS#8, readable by its owner alone
//     /etc/imgstore/trusted-keys/NAME.pem    SubjectPublicKeyInfo; NAME is for people
//
// 1. A private key is never overwritten, and never used while others can read or replace it.
// 2. A trusted key, and its folder, can be changed by root or the caller only: else nothing is trusted.
// 3. Both lie below the workspace's root. What a command names with an option lies where the caller says.

import Codec
import Glibc
import Platform
import Signatures
import Store

/// A public key and what it is called here.
public struct TrustedKey: Sendable {
  public let key: PublicKey
  /// The file's name without ".pem".
  public let name: String
}

/// The public keys that signatures are checked with.
public struct TrustedKeys: Sendable {
  public let folder: String
  public private(set) var keys: [Digest: TrustedKey] = [:]
  static let maxFiles = 1000

  public subscript(_ id: Digest) -> TrustedKey? { keys[id] }
  public var isEmpty: Bool { keys.isEmpty }
  public var all: [TrustedKey] { keys.values.sorted { $0.name < $1.name } }

  init(folder: String) { self.folder = folder }

  mutating func add(_ key: TrustedKey) {
    if keys[key.key.id] == nil { keys[key.key.id] = key }
  }
}

/// A key that was made or trusted.
public struct KeyOutcome: Sendable {
  public let key: PublicKey
  /// The private key's file; nil where none was made.
  public let privateFile: String?
  /// The public key's files.
  public let publicFiles: [String]
}

extension Workspace {
  static let keyFolder = "/etc/imgstore"
  static let keyName = "signing-key.pem"
  static let trustedName = "trusted-keys"
  private static let maxKeyBytes = 64 << 10

  /// The private key's default file, as it is reached from here.
  public var signingKeyPath: String {
    absolute("\(options.root)\(Workspace.keyFolder)/\(Workspace.keyName)")
  }
  public var trustedKeysPath: String {
    absolute("\(options.root)\(Workspace.keyFolder)/\(Workspace.trustedName)")
  }

  // MARK: Reading

  /// The key that this machine signs with.
  /// - Parameter file: another private key than the machine's own.
  /// - Throws: `SignatureError`, `ImageError` where it cannot be used, or others can read it.
  public func signingKey(_ file: String? = nil) throws -> SigningKey {
    let path = file.map(absolute) ?? signingKeyPath
    let place = try keyPlace(file, or: Workspace.keyName)
    guard let place, let (bytes, stat) = try readKey(place, path) else {
      throw ImageError(
        .notFound, "signing key \(path)", "is not there",
        advice: "'imgstore key generate' makes one; --key names another file")
    }
    guard stat.mode & 0o077 == 0, stat.uid == geteuid() || stat.uid == 0 else {
      throw ImageError(
        "signing key \(path)",
        "belongs to another user, or others can read it (mode \(String(stat.mode, radix: 8)))",
        advice: "Others may have its content: make a new key with 'imgstore key generate', in a "
          + "file of mode 0600, and trust the old one no more")
    }
    return try SigningKey(pem: bytes, name: "signing key \(path)")
  }

  /// The keys that this machine trusts; none where there is no folder.
  /// - Parameter folder: another folder than the machine's own.
  /// - Throws: `ImageError` where others can change the folder or a key in it; `SignatureError`.
  public func trustedKeys(_ folder: String? = nil) throws -> TrustedKeys {
    let path = folder.map(absolute) ?? trustedKeysPath
    var trusted = TrustedKeys(folder: path)
    let directory: Descriptor
    do throws(SystemError) {
      guard let place = try keyPlace(folder, or: Workspace.trustedName) else { return trusted }
      directory = try fileSystem.openDirectory(
        at: place.directory.raw, place.name, followLink: true)
    } catch {
      if error.code == .notFound, folder == nil { return trusted }
      throw error
    }
    try requireOwn(try fileSystem.stat(directory.raw), "folder \(path)")
    let names = try fileSystem.names(of: directory.raw).sorted(by: precedes)
      .filter { $0.count > 4 && $0.suffix(4).elementsEqual(".pem".utf8) && $0.first != 0x2e }
    guard names.count <= TrustedKeys.maxFiles else {
      throw ImageError("folder \(path)", "holds more than \(TrustedKeys.maxFiles) keys")
    }
    for name in names {
      let file = "\(path)/\(printable(name))"
      guard
        let (bytes, stat) = try readKey(ResolvedPath(directory: directory, name: name), file)
      else { continue }
      try requireOwn(stat, "trusted key \(file)")
      let key = try PublicKey(pem: bytes, name: "trusted key \(file)")
      trusted.add(TrustedKey(key: key, name: printable(name.dropLast(4))))
    }
    return trusted
  }

  private func requireOwn(_ stat: FileStat, _ object: String) throws(ImageError) {
    guard stat.mode & 0o022 == 0, stat.uid == geteuid() || stat.uid == 0 else {
      throw ImageError(
        object,
        "belongs to another user, or others can write it (mode \(String(stat.mode, radix: 8)))",
        advice: "Look who changed it; then 'chown root' and 'chmod go-w' it")
    }
  }

  /// Where a key, or the folder of keys, is; nil where a folder on the way is missing.
  private func keyPlace(
    _ given: String?, or name: String, create: Bool = false
  ) throws(SystemError) -> ResolvedPath? {
    do throws(SystemError) {
      if let given {
        let path = Array(absolute(given).utf8)
        let folder = try fileSystem.openDirectory(
          at: fileSystem.workingDirectory, parentPath(of: path), followLink: true)
        return ResolvedPath(
          directory: folder, name: path.split(separator: 0x2f).last.map { Array($0) } ?? [0x2e])
      }
      let path = AbsolutePath(
        components: Workspace.keyFolder.utf8.split(separator: 0x2f).map { Array($0) }
          + [Array(name.utf8)])
      return try resolver.resolve(path, followLast: false, create: create ? .readable : nil)
    } catch {
      if error.isAbsent, !create { return nil }
      throw error
    }
  }

  /// - Returns: nil where there is no file.
  private func readKey(
    _ place: ResolvedPath, _ path: String
  ) throws -> (bytes: [UInt8], stat: FileStat)? {
    let file: Descriptor
    do throws(SystemError) {
      file = try fileSystem.openFile(
        at: place.directory.raw, place.name, [.read, .noFollow, .nonBlocking])
    } catch {
      if error.code == .notFound { return nil }
      if error.code == .loop {
        throw ImageError(path, "is a symbolic link", advice: "Name the file that it leads to")
      }
      throw error
    }
    let stat = try fileSystem.stat(file.raw)
    guard stat.kind == .file, stat.size <= UInt64(Workspace.maxKeyBytes) else {
      throw ImageError(path, "is no file, or too large to be a key")
    }
    var bytes = [UInt8](repeating: 0, count: Int(stat.size))
    let n = try bytes.withUnsafeMutableBytes { try fileSystem.readFully(file.raw, at: 0, into: $0) }
    return (Array(bytes[..<n]), stat)
  }

  // MARK: Writing

  /// Makes a key pair. The machine's own public key is trusted here; another one's is put next to it.
  /// - Parameter output: the private key's file; nil for the machine's own. `.pub` is added for the public
  ///   key's.
  /// - Throws: where one of the files is there already: none is overwritten.
  public func generateKey(output: String? = nil) throws -> KeyOutcome {
    let path = output.map(absolute) ?? signingKeyPath
    guard let place = try keyPlace(output, or: Workspace.keyName, create: output == nil) else {
      throw ImageError(.notFound, "key \(path)", "cannot be made: its folder is not there")
    }
    let publicName = place.name + Array(".pub".utf8)
    for name in [place.name, publicName]
    where try fileSystem.statIfPresent(at: place.directory.raw, name) != nil {
      throw ImageError(
        "key \(path)", "\(printable(name)) is there already, and no key is ever overwritten",
        advice: "Name another file with --output, or move the old key away")
    }
    let key = try SigningKey.generate()
    let file = ResolvedPath(directory: place.directory, name: publicName)
    try writeKey(key.pem, to: place, mode: 0o600)
    try writeKey(key.publicKey.pem, to: file, mode: 0o644)
    var files = [path + ".pub"]
    if output == nil { files += try trustKey(key.publicKey, as: nil).publicFiles }
    return KeyOutcome(key: key.publicKey, privateFile: path, publicFiles: files)
  }

  /// Trusts the public key in a file from now on.
  /// - Parameter name: what it is called here; nil for the file's own name.
  public func trustKey(_ file: String, as name: String? = nil) throws -> KeyOutcome {
    let path = absolute(file)
    guard let place = try keyPlace(file, or: ""), let (bytes, _) = try readKey(place, path) else {
      throw ImageError(.notFound, "key \(path)", "is not there")
    }
    let key = try PublicKey(pem: bytes, name: "key \(path)")
    var own = printable(place.name)
    for ending in [".pem", ".pub"] where own.hasSuffix(ending) { own.removeLast(ending.count) }
    return try trustKey(key, as: name ?? own)
  }

  private func trustKey(_ key: PublicKey, as name: String?) throws -> KeyOutcome {
    let name = name ?? "self-\(key.id.shortHex)"
    guard !name.isEmpty, name.utf8.count <= 128, !name.hasPrefix("."),
      name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x2f })
    else {
      throw ImageError(
        .usage, "key name '\(printable(name.utf8))'", "is not allowed",
        advice: "Use letters, digits, '.', '-' and '_'")
    }
    if let known = try trustedKeys()[key.id] {
      return KeyOutcome(
        key: key, privateFile: nil, publicFiles: ["\(trustedKeysPath)/\(known.name).pem"])
    }
    guard let place = try keyPlace(nil, or: Workspace.trustedName, create: true) else {
      throw ImageError("folder \(trustedKeysPath)", "cannot be made")
    }
    do throws(SystemError) {
      try fileSystem.makeDirectory(at: place.directory.raw, place.name, mode: 0o755)
      try fileSystem.sync(place.directory.raw)
    } catch {
      if error.code != .exists { throw error }
    }
    let folder = try fileSystem.openDirectory(at: place.directory.raw, place.name)
    let file = Array("\(name).pem".utf8)
    do throws(SystemError) {
      try writeKey(key.pem, to: ResolvedPath(directory: folder, name: file), mode: 0o644)
    } catch {
      guard error.code == .exists else { throw error }
      throw ImageError(
        "key name '\(name)'", "is that of another trusted key",
        advice: "Choose another with --name, or remove \(trustedKeysPath)/\(name).pem")
    }
    return KeyOutcome(
      key: key, privateFile: nil, publicFiles: ["\(trustedKeysPath)/\(name).pem"])
  }

  /// Writes a new file: whole and durable, or not at all, and over no other one.
  private func writeKey(
    _ bytes: [UInt8], to place: ResolvedPath, mode: UInt16
  ) throws(SystemError) {
    let folder = place.directory.raw
    let temporary = Array(".imgstore-key-\(randomName())".utf8)
    let file = try fileSystem.openFile(
      at: folder, temporary, [.write, .create, .exclusive, .noFollow], mode: 0o600)
    do throws(SystemError) {
      try fileSystem.write(file.raw, bytes)
      try fileSystem.setMode(file.raw, mode)
      try fileSystem.sync(file.raw)
      try fileSystem.rename(at: folder, temporary, to: folder, place.name, exclusively: true)
    } catch {
      try? fileSystem.remove(at: folder, temporary, isDirectory: false)
      throw error
    }
    try fileSystem.sync(folder)
  }
}
