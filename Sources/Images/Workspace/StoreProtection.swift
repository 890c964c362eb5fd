// Protects the store: it is never part of an image, and commands write into it only through `ObjectStore`.

import Apply
import Ingest
import Platform

/// Keeps the store out of images, outputs and removals.
struct StoreProtection: Collaborator {
  let context: Context

  /// Returns the identity of the store's directory, which does not depend on the path to it; nil if the
  /// directory does not exist.
  func storeIdentity() throws -> FileIdentity? {
    let path = Array(absolute(context.options.store).utf8)
    guard
      let stat = try context.fileSystem.statIfPresent(
        at: context.fileSystem.workingDirectory, path, followLink: true),
      stat.kind == .directory
    else { return nil }
    return FileIdentity(stat)
  }

  /// Returns a capture that leaves the store out.
  func newCapture(_ resolver: PathResolver? = nil) throws -> Capture {
    Capture(resolver ?? context.resolver, store: try storeIdentity(), progress: context.progress)
  }

  /// Returns a remover that refuses to remove a tree with the store in it.
  func treeRemover(unlinked: Monitor<UnlinkedFiles>? = nil) throws -> TreeRemover {
    TreeRemover(
      context.fileSystem, store: try context.store().layout.root, unlinked: unlinked)
  }

  /// Refuses a change that would write a component into the store.
  /// - Throws: `ImageError`; nothing has been changed.
  func requireOutsideStore(_ paths: [AbsolutePath]) throws {
    var seen: Set<AbsolutePath> = []
    for path in paths where seen.insert(path.parent).inserted {
      var directory = path.parent
      var descriptor: Descriptor?
      while descriptor == nil {
        do throws(SystemError) {
          let resolved = try context.resolver.resolve(directory)
          descriptor = try context.fileSystem.openDirectory(
            at: resolved.directory.raw, resolved.name)
        } catch {
          guard error.isAbsent, !directory.isRoot else { throw error }
          directory = directory.parent
        }
      }
      if let descriptor { try requireOutsideStore(descriptor, path.text) }
    }
  }

  /// Refuses an output that would be written into, or over, one of its sources.
  /// - Parameters:
  ///   - sources: the files and trees that the output is made from; they may be absent.
  ///   - output: the location of the output.
  ///   - object: the output, as the message names it.
  /// - Throws: `ImageError`; nothing has been written.
  func requireOutside(
    _ sources: [AbsolutePath], _ output: ResolvedPath, _ object: String
  ) throws {
    let old = try context.fileSystem.statIfPresent(
      at: output.directory.raw, output.name, followLink: true
    ).map { FileIdentity($0) }
    for source in sources {
      guard let stat = try ImageCapturer(context).statLive(source) else { continue }
      let isInside =
        stat.kind == .directory
        ? try context.fileSystem.isInside(output.directory, FileIdentity(stat))
        : old == FileIdentity(stat)
      guard isInside else { continue }
      throw ImageError(
        object,
        stat.kind == .directory
          ? "lies in the tree \(source.text) itself" : "is the image's own \(source.text)",
        hint: "Nothing was written; name a path outside the image")
    }
  }

  /// Refuses an output that would be written into the store.
  /// - Parameters:
  ///   - directory: the directory that the output is written into.
  ///   - object: the output, as the message names it.
  /// - Throws: `ImageError`; nothing has been written.
  func requireOutsideStore(_ directory: Descriptor, _ object: String) throws {
    guard let store = try storeIdentity(), try context.fileSystem.isInside(directory, store) else {
      return
    }
    throw ImageError(
      object, "lies in the store, where only the store's own files belong",
      hint: "Nothing was written; name a path outside \(absolute(context.options.store))")
  }

  /// Refuses an output in the store, given by its path.
  func requireOutsideStore(path: String, _ object: String) throws {
    if let directory = try openNearest(path) { try requireOutsideStore(directory, object) }
  }

  /// Opens the nearest existing directory at or above a path of this machine; nil if it cannot be opened.
  func openNearest(_ path: String) throws -> Descriptor? {
    var directory = absolute(path)
    while true {
      do throws(SystemError) {
        return try context.fileSystem.openDirectory(
          at: context.fileSystem.workingDirectory, Array(directory.utf8), followLink: true)
      } catch {
        guard error.isAbsent, directory != "/" else { return nil }
        directory = absolute(directory + "/..")
      }
    }
  }
}
