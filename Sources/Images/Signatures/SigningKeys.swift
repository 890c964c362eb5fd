// The keys of a management node: the private key that signs, and the public keys that are trusted.
//
//     /etc/imgstore/signing-key.pem          PKCS#8, readable by its owner only
//     /etc/imgstore/trusted-keys/NAME.pem    SubjectPublicKeyInfo; NAME is for people
//
// 1. A private key is never overwritten. It is not used while other users can read or replace it.
// 2. Only root or the caller may be able to change a trusted key and its directory. Otherwise no key is
//    trusted.
// 3. Both paths are below the workspace's root. A path in an option is relative to the caller instead.

import Codec
import Glibc
import Platform
import Signatures
import Store

/// A public key and its name on this machine.
public struct TrustedKey: Sendable {
  public let key: PublicKey
  /// The name of the key's file, without ".pem".
  public let name: String
}

/// The public keys that verify signatures.
public struct TrustedKeys: Sendable {
  public let directory: String
  public private(set) var keys: [Digest: TrustedKey] = [:]
  static let maxFiles = 1000

  public subscript(_ id: Digest) -> TrustedKey? { keys[id] }
  public var isEmpty: Bool { keys.isEmpty }
  public var all: [TrustedKey] { keys.values.sorted { $0.name < $1.name } }

  init(directory: String) { self.directory = directory }

  mutating func add(_ key: TrustedKey) {
    if keys[key.key.id] == nil { keys[key.key.id] = key }
  }
}

/// The result of creating or trusting a key.
public struct KeyOutcome: Sendable {
  public let key: PublicKey
  /// The file of the private key; nil if none was created.
  public let privateFile: String?
  /// The files of the public key.
  public let publicFiles: [String]
}

extension Workspace {
  /// The default file of the private key, with the workspace's root.
  public var signingKeyPath: String { SigningKeys(context).signingKeyPath }

  public var trustedKeysPath: String { SigningKeys(context).trustedKeysPath }

  // MARK: Reading

  /// Returns the key that this machine signs with.
  /// - Parameter file: a private key to use instead of the machine's own.
  /// - Throws: `SignatureError`; `ImageError` if the key cannot be used, or other users can read it.
  public func signingKey(_ file: String? = nil) throws -> SigningKey {
    try SigningKeys(context).signingKey(file)
  }

  /// Returns the keys that this machine trusts; none if the directory does not exist.
  /// - Parameter given: a directory to use instead of the machine's own.
  /// - Throws: `ImageError` if other users can change the directory or a key in it; `SignatureError`.
  public func trustedKeys(_ given: String? = nil) throws -> TrustedKeys {
    try SigningKeys(context).trustedKeys(given)
  }

  // MARK: Writing

  /// Creates a key pair. This machine trusts its own public key; that of another pair is only written.
  /// - Parameter output: the file of the private key; nil for the machine's own. The public key gets the same
  ///   file name with `.pub` added.
  /// - Throws: `ImageError` if one of the files exists, because keys are never overwritten.
  public func generateKey(output: String? = nil) throws -> KeyOutcome {
    try SigningKeys(context).generateKey(output: output)
  }

  /// Adds the public key in a file to the trusted keys.
  /// - Parameter name: the key's name on this machine; nil for the file's own name.
  public func trustKey(_ file: String, as name: String? = nil) throws -> KeyOutcome {
    try SigningKeys(context).trustKey(file, as: name)
  }
}

/// Reads and writes signing keys.
struct SigningKeys: Collaborator {
  let context: Context

  static let keyDirectory = "/etc/imgstore"
  static let keyName = "signing-key.pem"
  static let trustedName = "trusted-keys"

  var signingKeyPath: String {
    absolute("\(context.options.root)\(SigningKeys.keyDirectory)/\(SigningKeys.keyName)")
  }

  var trustedKeysPath: String {
    absolute("\(context.options.root)\(SigningKeys.keyDirectory)/\(SigningKeys.trustedName)")
  }

  private static let maxKeyBytes = 64 << 10

  // MARK: Reading
  func signingKey(_ file: String? = nil) throws -> SigningKey {
    let path = file.map(absolute) ?? signingKeyPath
    let location = try keyLocation(file, or: SigningKeys.keyName)
    guard let location, let (bytes, stat) = try readKey(location, path) else {
      throw ImageError(
        .keyNotFound, "signing key \(path)", "does not exist",
        hint: "Run 'imgstore key generate', or name another file with --key")
    }
    guard stat.mode & 0o077 == 0, stat.uid == geteuid() || stat.uid == 0 else {
      throw ImageError(
        .accessDenied, "signing key \(path)",
        "belongs to another user, or others can read it (mode \(String(stat.mode, radix: 8)))",
        hint: "Others may have copied it. Create a new key with 'imgstore key generate', in a "
          + "file of mode 0600, and stop trusting the old key")
    }
    return try SigningKey(pem: bytes, name: "signing key \(path)")
  }

  func trustedKeys(_ given: String? = nil) throws -> TrustedKeys {
    let path = given.map(absolute) ?? trustedKeysPath
    var trusted = TrustedKeys(directory: path)
    let directory: Descriptor
    do throws(SystemError) {
      guard let location = try keyLocation(given, or: SigningKeys.trustedName) else {
        return trusted
      }
      directory = try context.fileSystem.openDirectory(
        at: location.directory.raw, location.name, followLink: true)
    } catch {
      if error.code == .notFound, given == nil { return trusted }
      throw error
    }
    try requireOwn(try context.fileSystem.stat(directory.raw), "directory \(path)")
    let names = try context.fileSystem.names(of: directory.raw).sorted(by: precedes)
      .filter { $0.count > 4 && $0.suffix(4).elementsEqual(".pem".utf8) && $0.first != 0x2e }
    guard names.count <= TrustedKeys.maxFiles else {
      throw ImageError("directory \(path)", "holds more than \(TrustedKeys.maxFiles) keys")
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
        .accessDenied, object,
        "belongs to another user, or others can write it (mode \(String(stat.mode, radix: 8)))",
        hint: "Check who changed it, then run 'chown root' and 'chmod go-w' on it")
    }
  }

  /// Returns the location of a key or of the directory of keys; nil if a parent directory is missing.
  private func keyLocation(
    _ given: String?, or name: String, create: Bool = false
  ) throws(SystemError) -> ResolvedPath? {
    do throws(SystemError) {
      if let given {
        let path = Array(absolute(given).utf8)
        let directory = try context.fileSystem.openDirectory(
          at: context.fileSystem.workingDirectory, parentPath(of: path), followLink: true)
        return ResolvedPath(
          directory: directory, name: path.split(separator: 0x2f).last.map { Array($0) } ?? [0x2e])
      }
      let path = AbsolutePath(
        components: SigningKeys.keyDirectory.utf8.split(separator: 0x2f).map { Array($0) }
          + [Array(name.utf8)])
      return try context.resolver.resolve(path, followLast: false, create: create ? .readable : nil)
    } catch {
      if error.isAbsent, !create { return nil }
      throw error
    }
  }

  /// Reads the file of a key.
  /// - Returns: nil if the file does not exist.
  private func readKey(
    _ location: ResolvedPath, _ path: String
  ) throws -> (bytes: [UInt8], stat: FileStat)? {
    let file: Descriptor
    do throws(SystemError) {
      file = try context.fileSystem.openFile(
        at: location.directory.raw, location.name, [.read, .noFollow, .nonBlocking])
    } catch {
      if error.code == .notFound { return nil }
      if error.code == .loop {
        throw ImageError(path, "is a symbolic link", hint: "Name the target of the link")
      }
      throw error
    }
    let stat = try context.fileSystem.stat(file.raw)
    guard stat.kind == .file, stat.size <= UInt64(SigningKeys.maxKeyBytes) else {
      throw ImageError(path, "is not a regular file, or is too large for a key")
    }
    var bytes = [UInt8](repeating: 0, count: Int(stat.size))
    let n = try bytes.withUnsafeMutableBytes {
      try context.fileSystem.readFully(file.raw, at: 0, into: $0)
    }
    return (Array(bytes[..<n]), stat)
  }

  // MARK: Writing
  func generateKey(output: String? = nil) throws -> KeyOutcome {
    let path = output.map(absolute) ?? signingKeyPath
    guard let location = try keyLocation(output, or: SigningKeys.keyName, create: output == nil)
    else {
      throw ImageError(
        .keyNotFound, "key \(path)", "cannot be created: its directory does not exist")
    }
    let publicName = location.name + Array(".pub".utf8)
    for name in [location.name, publicName]
    where try context.fileSystem.statIfPresent(at: location.directory.raw, name) != nil {
      throw ImageError(
        .alreadyExists,
        "key \(path)", "already exists as \(printable(name)), and keys are never overwritten",
        hint: "Name another file with --output, or move the old key away")
    }
    let key = try SigningKey.generate()
    let file = ResolvedPath(directory: location.directory, name: publicName)
    try writeKey(key.pem, to: location, mode: 0o600)
    try writeKey(key.publicKey.pem, to: file, mode: 0o644)
    var files = [path + ".pub"]
    if output == nil { files += try trustKey(key.publicKey, as: nil).publicFiles }
    return KeyOutcome(key: key.publicKey, privateFile: path, publicFiles: files)
  }

  func trustKey(_ file: String, as name: String? = nil) throws -> KeyOutcome {
    let path = absolute(file)
    guard let location = try keyLocation(file, or: ""), let (bytes, _) = try readKey(location, path)
    else {
      throw ImageError(.keyNotFound, "key \(path)", "does not exist")
    }
    let key = try PublicKey(pem: bytes, name: "key \(path)")
    var own = printable(location.name)
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
        hint: "Use letters, digits, '.', '-' and '_'")
    }
    if let known = try trustedKeys()[key.id] {
      return KeyOutcome(
        key: key, privateFile: nil, publicFiles: ["\(trustedKeysPath)/\(known.name).pem"])
    }
    guard let location = try keyLocation(nil, or: SigningKeys.trustedName, create: true) else {
      throw ImageError("directory \(trustedKeysPath)", "cannot be created")
    }
    do throws(SystemError) {
      try context.fileSystem.makeDirectory(at: location.directory.raw, location.name, mode: 0o755)
      try context.fileSystem.sync(location.directory.raw)
    } catch {
      if error.code != .exists { throw error }
    }
    let directory = try context.fileSystem.openDirectory(at: location.directory.raw, location.name)
    let file = Array("\(name).pem".utf8)
    do throws(SystemError) {
      try writeKey(key.pem, to: ResolvedPath(directory: directory, name: file), mode: 0o644)
    } catch {
      guard error.code == .exists else { throw error }
      throw ImageError(
        "key name '\(name)'", "belongs to another trusted key",
        hint: "Choose another name with --name, or remove \(trustedKeysPath)/\(name).pem")
    }
    return KeyOutcome(
      key: key, privateFile: nil, publicFiles: ["\(trustedKeysPath)/\(name).pem"])
  }

  /// Writes a new file atomically and durably. It never overwrites a file.
  private func writeKey(
    _ bytes: [UInt8], to location: ResolvedPath, mode: UInt16
  ) throws(SystemError) {
    let directory = location.directory.raw
    let temporary = Array(".imgstore-key-\(randomName())".utf8)
    let file = try context.fileSystem.openFile(
      at: directory, temporary, [.write, .create, .exclusive, .noFollow], mode: 0o600)
    do throws(SystemError) {
      try context.fileSystem.write(file.raw, bytes)
      try context.fileSystem.setMode(file.raw, mode)
      try context.fileSystem.sync(file.raw)
      try context.fileSystem.rename(
        at: directory, temporary, to: directory, location.name, exclusively: true)
    } catch {
      try? context.fileSystem.remove(at: directory, temporary, isDirectory: false)
      throw error
    }
    try context.fileSystem.sync(directory)
  }
}
