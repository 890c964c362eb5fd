// A management node with a root tree to pack.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

/// A staging root with the image "img", its tree in /img/rootimg, and postscripts in /install.
final class PackNode: Sendable {
  let folder: TemporaryFolder
  let workspace: Workspace
  var tree: String { path("img/rootimg") }

  /// - Parameter script: makes more, in the folder of the staging root.
  init(_ script: String = "", environment: [String: String] = [:]) throws {
    folder = try TemporaryFolder()
    try runFixture("scripts/trees/make-node-to-pack.sh", folder.path)
    try shell("cd \"$1\"; \(script)", folder.path("root"))
    workspace = try Workspace(
      WorkspaceOptions(
        store: folder.path("store"), root: folder.path("root"), environment: environment)
    ) { _ in }
    _ = try workspace.define(
      "img",
      ["provmethod=netboot", "rootimgdir=/img", "profile=p", "osvers=rhels9.4", "osarch=x86_64"])
  }

  func path(_ name: String) -> String { folder.path("root/\(name)") }

  func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(name)))
  }

  func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  /// Runs SQL on one of xCAT's table files, which is made where it is not there.
  func sql(_ table: String, _ statement: String) throws {
    let result = try run("sqlite3", path("etc/xcat/\(table).sqlite"), statement)
    try #require(result.didSucceed, "\(result.errors)")
  }

  func passwd(_ password: String, _ method: String = "") throws {
    try sql(
      "passwd",
      """
      CREATE TABLE IF NOT EXISTS passwd (key TEXT, username TEXT, password TEXT, cryptmethod TEXT,
        authdomain TEXT, comments TEXT, disable TEXT);
      DELETE FROM passwd;
      INSERT INTO passwd (key, username, password, cryptmethod)
        VALUES ('system', 'root', '\(password)', '\(method)');
      """)
  }

  func site(_ key: String, _ value: String) throws {
    try sql(
      "site",
      """
      CREATE TABLE IF NOT EXISTS site (key TEXT, value TEXT, comments TEXT, disable TEXT);
      INSERT INTO site (key, value) VALUES ('\(key)', '\(value)');
      """)
  }

  func litefile(_ rows: [(file: String, options: String)]) throws {
    try sql(
      "litefile",
      """
      CREATE TABLE IF NOT EXISTS litefile (image VARCHAR(128) NOT NULL, file VARCHAR(128) NOT NULL,
        options TEXT, comments TEXT, disable TEXT, PRIMARY KEY (image, file));
      DELETE FROM litefile;
      """
        + rows.map {
          "INSERT INTO litefile (image, file, options) VALUES ('img', '\($0.file)', '\($0.options)');"
        }.joined())
  }

  @discardableResult
  func pack(_ change: (inout PackRequest) -> Void = { _ in }) throws -> PackOutcome {
    var request = PackRequest("img")
    request.threads = 2
    change(&request)
    return try workspace.pack(request)
  }

  /// Unpacks rootimg.cpio.gz into a new folder.
  func unpacked(_ name: String = "rootimg.cpio.gz") throws -> String {
    let out = folder.path("out-\(randomName())")
    try shell(
      "mkdir \"$2\"; cd \"$2\"; gzip -dc \"$1\" | cpio -idm --quiet 2>/dev/null",
      path("img/\(name)"),
      out)
    return out
  }

  func lines(_ out: String, _ name: String) throws -> [String] {
    try String(contentsOfFile: "\(out)/\(name)", encoding: .utf8).split(separator: "\n").map(
      String.init)
  }
}
