// A management node with a root tree to pack.

import Foundation
import Images
import Platform
import Render
import TestSupport
import Testing

extension TestNode {
  /// Creates a node with the image "img", its tree in /img/rootimg, and postscripts in /install.
  ///
  /// - Parameter script: adds files, in the root of the node.
  static func toPack(_ script: String = "", environment: [String: String] = [:]) throws -> TestNode
  {
    let node = try TestNode(
      environment: environment,
      stage: { root in
        try runFixture(
          "scripts/trees/make-node-to-pack.sh",
          URL(fileURLWithPath: root).deletingLastPathComponent().path)
        try shell("cd \"$1\"; \(script)", root)
      })
    _ = try node.workspace.define(
      "img",
      ["provmethod=netboot", "rootimgdir=/img", "profile=p", "osvers=rhels9.4", "osarch=x86_64"])
    return node
  }

  func bytes(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(name)))
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

  /// Unpacks rootimg.cpio.gz into a new directory.
  func unpacked(_ name: String = "rootimg.cpio.gz") throws -> String {
    let out = directory.path("out-\(randomName())")
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
