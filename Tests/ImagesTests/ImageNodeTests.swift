// Which nodes boot an image, whatever the state of its files and of its history.

import Foundation
import Images
import Platform
import TestSupport
import Testing
import XCAT

@Suite(.usesTools) struct ImageNodeTests {
  private func site() throws -> TestNode {
    let site = try TestNode.fresh()
    _ = try site.workspace.define("img", ["provmethod=netboot", "rootimgdir=/install/img"])
    return site
  }

  private func set(
    _ site: TestNode, _ schema: TableSchema, _ node: String, _ columns: [String: String]
  ) throws {
    try site.tables.apply([
      RowChange(schema: schema, key: ["node": node], columns: columns, keepsOtherColumns: false)
    ])
  }

  @Test func `nodes are known before any snapshot, and follow the tables`() throws {
    let site = try site()
    #expect(try site.workspace.nodes(of: "img")?.names == [])
    try set(site, .nodetype, "compute", ["provmethod": "img"])
    var nodes = try #require(try site.workspace.nodes(of: "img"))
    #expect(nodes.names == ["node1", "node2"] && ["compute", "all"].contains(nodes.range))
    try set(site, .nodetype, "node1", ["provmethod": "other"])
    nodes = try #require(try site.workspace.nodes(of: "img"))
    #expect(nodes.names == ["node2"] && nodes.range == "node2")
    #expect(try site.workspace.nodes(of: "nobody") == nil)
  }

  @Test func `many nodes are one range`() throws {
    let site = try site()
    for i in 1...30 { try set(site, .nodelist, "n\(i)", ["groups": "many,all"]) }
    try set(site, .nodelist, "login1", ["groups": "all"])
    try set(site, .nodetype, "many", ["provmethod": "img"])
    try set(site, .nodetype, "login1", ["provmethod": "img"])
    let nodes = try #require(try site.workspace.nodes(of: "img"))
    #expect(nodes.names.count == 31)
    #expect(nodes.range == "login1,n1-n30")
  }

  @Test func `a directory image has no nodes`() throws {
    let site = try TestNode.smallDirectory()
    let name = try site.workspace.snapshot(site.tree).committed.snapshot.image
    #expect(try site.workspace.nodes(of: name) == nil)
  }
}
