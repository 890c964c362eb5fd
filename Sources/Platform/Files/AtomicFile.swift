// Replaces files that may be lost: caches and markers. Files that must last are written by `OutputFile`, and
// in a store by its temporary files.

extension FileSystem {
  /// Gives a name new content: a reader sees the old file or the complete new one. Nothing is synced, so a
  /// power cut may leave an empty or a damaged file.
  /// - Parameter temporary: the name before the rename, if only one process can write the file; nil for a
  ///   random one.
  public func replaceFile(
    at directory: Int32, _ name: [UInt8], with bytes: [UInt8], temporary: [UInt8]? = nil
  ) throws(SystemError) {
    let new = temporary ?? name + Array(".\(randomName())".utf8)
    // A process that was killed may have left a file of a fixed name.
    if temporary != nil { try? remove(at: directory, new, isDirectory: false) }
    do throws(SystemError) {
      let file = try openFile(at: directory, new, [.write, .create, .exclusive, .noFollow])
      try write(file.raw, bytes)
      try rename(at: directory, new, to: directory, name, exclusively: false)
    } catch {
      try? remove(at: directory, new, isDirectory: false)
      throw error
    }
  }
}
