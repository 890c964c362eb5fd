// Where a command writes a file or a tree that its user named.
//
// 1. It is resolved here, component by component, and used by its directory's descriptor from then on.
// 2. A symbolic link that another user may have made, or may exchange, is followed nowhere, so that who
//    can write in /tmp cannot choose what root overwrites.
// 3. Nothing is written into the store.
// 4. A file is written only where nothing is, or in place of a regular file: never of a directory or a device.

import Platform

/// A place for an output.
struct OutputPlace {
  let resolved: ResolvedPath
  /// Its path, as the user gave it but absolute.
  let path: AbsolutePath
}

extension Workspace {
  /// Finds the place for an output. Trusted links are followed, in the last component too.
  /// - Parameters:
  ///   - object: the output, as messages name it.
  ///   - createsDirectories: makes missing directories on the way, as the umask has it.
  /// - Throws: `ImageError`, `SystemError`.
  func outputPlace(
    _ text: String, _ object: String, createsDirectories: Bool = false
  ) throws -> OutputPlace {
    guard let path = AbsolutePath(absolute(text)) else {
      throw ImageError(.usage, object, "is not a clean path")
    }
    // Before a directory is made on the way.
    try requireOutsideStore(path: text, object)
    let system = try PathResolver(
      fileSystem, root: fileSystem.openDirectory(at: fileSystem.workingDirectory, [0x2f]))
    do throws(SystemError) {
      let place = try system.resolve(
        path, links: .trusted, create: createsDirectories ? .umask : nil)
      return OutputPlace(resolved: place, path: path)
    } catch {
      guard error.operation == PathResolver.following, error.code == .accessDenied else {
        throw error
      }
      throw ImageError(
        object,
        "leads over the symbolic link \(printable(error.path)), which another user may have made",
        advice: "Nothing was written; name the place itself, or one where only you can make links")
    }
  }

  /// The place for an output that goes into a directory, under a name of its own, where the user named one.
  func outputPlace(_ text: String, named name: String, _ object: String) throws -> OutputPlace {
    let place = try outputPlace(text, object)
    let isDirectory = try outputStat(place)?.kind == .directory
    return try requireFilePlace(
      isDirectory ? outputPlace(place.path.appending(name).text, object) : place, text, object)
  }

  /// The place for an output that is a file with this very path.
  func outputFilePlace(_ text: String, _ object: String) throws -> OutputPlace {
    try requireFilePlace(outputPlace(text, object), text, object)
  }

  /// - Throws: `ImageError` where a file there would replace something else, or `text` asks for a directory.
  private func requireFilePlace(
    _ place: OutputPlace, _ text: String, _ object: String
  ) throws -> OutputPlace {
    let stat = try outputStat(place)
    if let stat, stat.kind != .file {
      throw ImageError(
        object, "\(printable(place.resolved.name)) is a \(stat.kind.noun), which no file replaces",
        advice: "Nothing was written; name a file")
    }
    if stat == nil, ["/", "/.", "/.."].contains(where: text.hasSuffix), !isInside(place, text) {
      throw ImageError(
        .notFound, object, "is not there", advice: "Make the directory, or name a file")
    }
    return place
  }

  private func outputStat(_ place: OutputPlace) throws -> FileStat? {
    try fileSystem.statIfPresent(at: place.resolved.directory.raw, place.resolved.name)
  }

  /// Whether the place was found in the directory that `text` names.
  private func isInside(_ place: OutputPlace, _ text: String) -> Bool {
    place.path != AbsolutePath(absolute(text))
  }

  /// Begins a file without secrets at a path of the command line.
  public func outputFile(_ text: String, _ object: String) throws -> OutputFile {
    let place = try outputFilePlace(text, object).resolved
    return try OutputFile(fileSystem, in: place.directory, named: place.name, mode: 0o666)
  }
}
