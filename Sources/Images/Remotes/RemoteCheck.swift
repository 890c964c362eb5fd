// imgstore remote: lists, adds and removes remotes, and checks whether one can be used.

import Platform
import Settings
import Store
import Transfer

/// The state of one check.
public enum RemoteCheckState: String, Sendable, CaseIterable {
  case passed, failed, skipped
}

/// One check of a remote.
public struct RemoteCheckItem: Sendable {
  /// A short name: "reach", "read", "write".
  public let name: String
  public let state: RemoteCheckState
  /// The finding.
  public let finding: String
  /// What to do; empty if there is nothing.
  public let hint: String

  init(_ name: String, _ state: RemoteCheckState, _ finding: String, hint: String = "") {
    self.name = name
    self.state = state
    self.finding = finding
    self.hint = hint
  }
}

/// The result of `remote check`.
public struct RemoteCheckReport: Sendable {
  public let remote: String
  public let url: String
  public internal(set) var items: [RemoteCheckItem]

  /// Whether no check failed.
  public var isUsable: Bool { !items.contains { $0.state == .failed } }
}

/// What `remote show` tells.
public struct RemoteDescription: Sendable {
  public let remote: Remote
  /// The images of the remote with their numbers of snapshots.
  public let images: [(image: ImageName, snapshots: Int)]
}

extension Workspace {
  /// Returns all remotes.
  public func remotes() throws -> [Remote] { try RemoteRegistry(context).all() }

  /// Adds a remote.
  /// - Throws: `ImageError`: `alreadyExists`, `usage`.
  public func addRemote(_ settings: RemoteSettings) throws -> Remote {
    try RemoteRegistry(context).add(settings)
  }

  /// Removes a remote. Its snapshots stay, there and here.
  /// - Throws: `ImageError`: `notFound`.
  public func removeRemote(_ name: String) throws { try RemoteRegistry(context).remove(name) }

  /// Returns a remote with its images.
  public func describeRemote(_ name: String) throws -> RemoteDescription {
    try RemoteChecker(context).describe(name)
  }

  /// Checks whether a remote can be used.
  public func checkRemote(_ name: String) throws -> RemoteCheckReport {
    try RemoteChecker(context).check(name)
  }
}

/// Examines remotes.
struct RemoteChecker: Collaborator {
  let context: Context

  func describe(_ name: String) throws -> RemoteDescription {
    let remote = try RemoteRegistry(context).remote(name)
    return try RemoteConnector(context).with(remote) { connection in
      let source = connection.source
      return RemoteDescription(
        remote: remote,
        images: try source.images().map { ($0, try source.history(of: $0).snapshots.count) })
    }
  }

  func check(_ name: String) throws -> RemoteCheckReport {
    let remote = try RemoteRegistry(context).remote(name)
    var report = RemoteCheckReport(remote: remote.name, url: "\(remote.url)", items: [])
    func run(_ name: String, _ body: () throws -> String) -> Bool {
      do {
        report.items.append(RemoteCheckItem(name, .passed, try body()))
        return true
      } catch let error as any ExplainedError {
        report.items.append(RemoteCheckItem(name, .failed, error.message, hint: error.hint))
      } catch {
        report.items.append(RemoteCheckItem(name, .failed, "\(error)"))
      }
      return false
    }
    do {
      try RemoteConnector(context).with(remote) { connection in
        report.items.append(RemoteCheckItem("reach", .passed, connection.source.name))
        guard
          run(
            "read",
            {
              let images = try connection.source.images()
              return "\(images.count) image\(images.count == 1 ? "" : "s")"
            })
        else { return }
        report.items += connection.probe()
        _ = run("write") {
          let session = try connection.sink().begin()
          defer { session.end() }
          _ = try session.missing([])
          return "this account can add snapshots"
        }
      }
    } catch let error as any ExplainedError {
      if case .s3 = remote.url {
        // The bucket has no depot yet, or the service has a problem that its examination names.
        let items = try DepotConnector(context).probe(remote)
        report.items += items
        guard error.errorCode == .notFound, !items.contains(where: { $0.state == .failed }) else {
          return report
        }
        report.items.append(
          RemoteCheckItem("depot", .skipped, "there is none; the first push creates it"))
      } else {
        report.items.append(RemoteCheckItem("reach", .failed, error.message, hint: error.hint))
      }
    }
    return report
  }
}
