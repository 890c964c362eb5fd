// The locations of files and trees that a user names as outputs.
//
// 1. The path is resolved once, component by component. Afterwards only its directory's descriptor is used.
// 2. A symbolic link that another user could have made or could exchange is never followed. So a user who can
//    write in /tmp cannot choose what root overwrites.
// 3. Nothing is written into the store.
// 4. A file is written at a free path or replaces a regular file. It never replaces a directory or a device.

import Platform

/// The location of an output.
struct OutputLocation {
  let resolved: ResolvedPath
  /// The user's path, made absolute.
  let path: AbsolutePath
}

extension Workspace {
  /// Creates a file without secrets at a path of the command line. Its mode is 0666 less the umask.
  /// - Throws: `ImageError` as `outputLocation`; `SystemError`.
  public func outputFile(_ text: String, _ object: String) throws -> OutputFile {
    try OutputLocator(context).outputFile(text, object)
  }
}

/// Locates the outputs of commands, which never lie in the store.
struct OutputLocator: Collaborator {
  let context: Context

  /// Resolves the path of an output. Trusted links are followed, including one as the last component.
  /// - Parameters:
  ///   - text: the path from the command line.
  ///   - object: the output, as messages name it.
  ///   - createsDirectories: creates missing parent directories, with modes according to the umask.
  /// - Throws: `ImageError` for an invalid path, a path in the store or an untrusted link; `SystemError`.
  func outputLocation(
    _ text: String, _ object: String, createsDirectories: Bool = false
  ) throws -> OutputLocation {
    guard let path = AbsolutePath(absolute(text)) else {
      throw ImageError(.usage, object, "is not a clean path")
    }
    guard text != "-" else {
      throw ImageError(
        .usage, object, "is not a file name, and this command cannot write to standard output",
        hint: "Name a file; './-' is a file of that name")
    }
    // Checked before any directory is created.
    try StoreProtection(context).requireOutsideStore(path: text, object)
    let system = try PathResolver(
      context.fileSystem,
      root: context.fileSystem.openDirectory(at: context.fileSystem.workingDirectory, [0x2f]))
    do throws(SystemError) {
      let resolved = try system.resolve(
        path, links: .trusted, create: createsDirectories ? .umask : nil)
      return OutputLocation(resolved: resolved, path: path)
    } catch {
      guard error.operation == PathResolver.following, error.code == .accessDenied else {
        throw error
      }
      throw ImageError(
        object,
        "leads through the symbolic link \(printable(error.path)), "
          + "which another user may have made",
        hint:
          "Nothing was written; name the target itself, or a path where only you can make links")
    }
  }

  /// Resolves the path of an output file. If the user named a directory, the file goes into it under `name`.
  func outputLocation(_ text: String, named name: String, _ object: String) throws -> OutputLocation
  {
    let output = try outputLocation(text, object)
    let isDirectory = try outputStat(output)?.kind == .directory
    return try requireFileLocation(
      isDirectory ? outputLocation(output.path.appending(name).text, object) : output, text, object)
  }

  /// Resolves the path of an output that is a file with exactly this path.
  func outputFileLocation(_ text: String, _ object: String) throws -> OutputLocation {
    try requireFileLocation(outputLocation(text, object), text, object)
  }

  /// Checks that a file may be written at the location.
  /// - Throws: `ImageError`: `alreadyExists` if the file would replace something else, `notFound` if `text`
  ///   names a directory that does not exist.
  private func requireFileLocation(
    _ output: OutputLocation, _ text: String, _ object: String
  ) throws -> OutputLocation {
    let stat = try outputStat(output)
    if let stat, stat.kind != .file {
      throw ImageError(
        .alreadyExists, object,
        "contains a \(stat.kind.noun) named \(printable(output.resolved.name)), which a file cannot replace",
        hint: "Nothing was written; name a file")
    }
    if stat == nil, ["/", "/.", "/.."].contains(where: text.hasSuffix), !isInside(output, text) {
      throw ImageError(
        .notFound, object, "does not exist", hint: "Make the directory, or name a file")
    }
    return output
  }

  private func outputStat(_ output: OutputLocation) throws -> FileStat? {
    try context.fileSystem.statIfPresent(at: output.resolved.directory.raw, output.resolved.name)
  }

  /// Returns whether the output lies in the directory that `text` names.
  private func isInside(_ output: OutputLocation, _ text: String) -> Bool {
    output.path != AbsolutePath(absolute(text))
  }

  func outputFile(_ text: String, _ object: String) throws -> OutputFile {
    let resolved = try outputFileLocation(text, object).resolved
    return try OutputFile(
      context.fileSystem, in: resolved.directory, named: resolved.name, mode: 0o666)
  }
}
