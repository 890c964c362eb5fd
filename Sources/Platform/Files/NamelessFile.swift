// Files without a name, for bytes that must wait where no store or output has room for them.

import Glibc

/// The directory for temporary files: TMPDIR, or /var/tmp, which is on a disk where /tmp often is not.
public var temporaryDirectoryPath: [UInt8] {
  guard let value = getenv("TMPDIR"), value.pointee != 0 else { return Array("/var/tmp".utf8) }
  return Array(String(cString: value).utf8)
}

extension FileSystem {
  /// Opens a file without a name, which only the caller can reach; it is gone when its descriptor is.
  public func openNamelessFile(in path: [UInt8]) throws(SystemError) -> Descriptor {
    let directory = try openDirectory(at: workingDirectory, path, followLink: true)
    if let file = try? openFile(
      at: directory.raw, [0x2e], [.readWrite, .nameless], mode: OutputFile.privateMode)
    {
      return file
    }
    let name = Array(".imgstore-\(randomName())".utf8)
    let file = try openFile(
      at: directory.raw, name, [.readWrite, .create, .exclusive, .noFollow],
      mode: OutputFile.privateMode)
    try? remove(at: directory.raw, name, isDirectory: false)
    return file
  }
}
