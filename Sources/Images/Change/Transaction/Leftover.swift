// Leftovers of an interrupted change: entries with temporary names, next to the image's files and trees.
// `resume` removes them before it captures the image. It never removes a tree with a mounted file system.

import Apply
import Platform
import Store

/// A temporary entry of a change that cannot be removed.
struct Leftover {
  let problem: ApplyProblem
  /// Whether a file system is mounted in it. It must be unmounted then, and never removed.
  let isMounted: Bool
}

/// Removes leftovers of interrupted changes.
struct LeftoverRemover: Collaborator {
  let context: Context

  /// Removes the temporary entries of a change next to the image's files and trees. The plan removes those
  /// inside trees, like all extra entries.
  /// - Returns: the entries that could not be removed.
  func removeLeftovers(
    _ image: ImageName, _ journal: Journal
  ) throws -> [Leftover] {
    let prefix = TemporaryName.prefix(journal.token)
    let endpoints = [journal.target, journal.before].compactMap { $0 }
      .compactMap { try? ChangeJournal(context).findSnapshot($0, of: image)?.snapshot }
    var directories: Set<AbsolutePath> = []
    var leftovers: [Leftover] = []
    for path in endpoints.flatMap({ $0.requests + $0.absentPathRequests }).map(\.path)
    where directories.insert(path.parent).inserted {
      do {
        let location = try LivePaths(context).locate(path)
        for name in try context.fileSystem.names(of: location.directory.raw)
        where name.starts(with: prefix) {
          if let leftover = removeLeftover(location.directory, name, in: path.parent) {
            leftovers.append(leftover)
          }
        }
      } catch {
        if !error.isAbsent {
          leftovers.append(
            Leftover(problem: ApplyProblem(path: path.bytes, what: error.reason), isMounted: false)
          )
        }
      }
    }
    return leftovers
  }

  private func removeLeftover(
    _ directory: Descriptor, _ name: [UInt8], in parent: AbsolutePath
  ) -> Leftover? {
    let path = parent.bytes + [0x2f] + name
    let leftover = ResolvedPath(directory: directory, name: name)
    do {
      if let mount = try TreeBusyCheck.mounts(
        in: LivePaths(context).kernelPath(leftover), context.fileSystem
      ).first {
        let what = "is left from the change, and something is mounted on \(printable(mount.point))"
        return Leftover(problem: ApplyProblem(path: path, what: what), isMounted: true)
      }
      try StoreProtection(context).treeRemover().remove(at: directory.raw, name)
      return nil
    } catch {
      let reason = (error as? any ExplainedError)?.reason ?? "\(error)"
      return Leftover(
        problem: ApplyProblem(path: path, what: "is left from the change: \(reason)"),
        isMounted: false)
    }
  }
}
