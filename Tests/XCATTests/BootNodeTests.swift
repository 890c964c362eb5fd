// The nodes that boot an image, their node range, and the arguments of nodeset.

import Platform
import TestSupport
import Testing
import XCAT

@Suite struct BootNodeTests {
  private func tables(_ extra: [String: [[String: String]]]) -> MemoryTables {
    MemoryTables(
      tables: [
        "nodelist": (1...6).map { ["node": "n0\($0)", "groups": $0 <= 4 ? "compute,all" : "all"] }
      ].merging(extra) { $1 })
  }

  private func names(_ nodes: BootNodes) -> [String] { nodes.nodes.map(\.name) }

  @Test func `a node's own row takes precedence over the rows of its groups`() throws {
    let tables = tables([
      "nodetype": [
        ["node": "compute", "provmethod": "img"], ["node": "n02", "provmethod": "other"],
        ["node": "n06", "provmethod": "img"],
      ]
    ])
    #expect(names(try BootNodes(of: "img", tables)) == ["n01", "n03", "n04", "n06"])
    #expect(names(try BootNodes(of: "other", tables)) == ["n02"])
    #expect(names(try BootNodes(of: "im", tables)) == [])
  }

  @Test func `bootparams takes precedence over provmethod`() throws {
    let tables = tables([
      "nodetype": [["node": "compute", "provmethod": "img"]],
      "bootparams": [
        ["node": "n01", "kernel": "xcat/osimage/img/kernel", "initrd": "xcat/osimage/img/i.gz"],
        ["node": "n02", "kernel": "xcat/genesis.kernel.x86_64"],
        ["node": "n03", "kernel": "xcat/osimage/img2/kernel"],
        ["node": "n05", "kernel": "xcat/osimage/img/kernel!xcat/osimage/img/hypervisor"],
        ["node": "n06", "kcmdline": "root=x imgurl=http://m:80/tftpboot/xcat/osimage/img/x"],
        ["node": "compute", "addkcmdline": "quiet"],
      ],
    ])
    #expect(names(try BootNodes(of: "img", tables)) == ["n01", "n04", "n05", "n06"])
    #expect(names(try BootNodes(of: "img2", tables)) == ["n03"])
  }

  @Test func `values with patterns, own TFTP directories and service nodes are evaluated`() throws {
    let tables = tables([
      "nodetype": [["node": "compute", "provmethod": "|n0(\\d)|img($1/3)|"]],
      "noderes": [
        ["node": "n01", "tftpdir": "/nas/a"],
        ["node": "compute", "tftpserver": "<xcatmaster>"], ["node": "n02", "servicenode": "sn1"],
      ],
      "site": [["key": "sharedtftp", "value": "no"]],
    ])
    let nodes = try BootNodes(of: "img0", tables)
    #expect(names(nodes) == ["n01", "n02"])
    #expect(nodes.nodes.map(\.tftpDirectory) == ["/nas/a", nil])
    #expect(nodes.nodes.map(\.isElsewhere) == [false, true])
    #expect(names(try BootNodes(of: "img1", tables)) == ["n03", "n04"])
  }

  @Test func `values that only Perl can evaluate and unsafe names are reported separately`() throws
  {
    var tables = tables(["nodetype": [["node": "all", "provmethod": "img"]]])
    tables.tables["nodelist"]?.append(["node": "-x;reboot", "groups": "all"])
    tables.tables["nodetype"]?.append(["node": "n02", "provmethod": "|n(\\d+)|i(system(1))|"])
    let nodes = try BootNodes(of: "img", tables)
    #expect(names(nodes) == ["n01", "n03", "n04", "n05", "n06"])
    #expect(nodes.unclear == ["-x;reboot", "n02"])
  }

  static let ranges: [(String, String)] = [
    ("n1", "n1"), ("n1 n2", "n1,n2"), ("n1 n2 n3", "n1-n3"),
    ("n8 n9 n10 n11", "n8-n11"), ("n08 n09 n10 n11", "n08-n11"),
    ("n098 n099 n100 n9 n10 n11", "n098-n100,n9-n11"),
    ("n1 n2 n3 n5", "n1-n3,n5"), ("a1.x a2.x a3.x b", "a1.x-a3.x,b"),
    ("r1-n1 r1-n2 r1-n3 r2-n1", "r1-n1-r1-n3,r2-n1"),
    ("7 8 9", "7,8,9"), ("n1234567890123 n1234567890124", "n1234567890123,n1234567890124"),
  ]

  @Test(arguments: ranges)
  func `a node range is short and stands for the same nodes`(_ names: String, _ range: String)
    throws
  {
    let names = names.split(separator: " ").map(String.init)
    let tables = MemoryTables(
      tables: ["nodelist": (names + ["n4", "other1"]).map { ["node": $0] }])
    let found = try BootNodes(of: "img", tables).range(of: names)
    #expect(found == range)
    var lists = try NodeLists(tables)
    #expect(Set(try lists.expand(found).nodes) == Set(names))
  }

  @Test func `a group of exactly these nodes is named in place of them`() throws {
    let tables = MemoryTables(
      tables: [
        "nodelist": [
          ["node": "a", "groups": "red,all,odd group"], ["node": "b", "groups": "red,all"],
          ["node": "c", "groups": "all"],
        ]
      ])
    let nodes = try BootNodes(of: "img", tables)
    #expect(nodes.range(of: ["a", "b"]) == "red")
    #expect(nodes.range(of: ["a", "b", "c"]) == "all")
    #expect(nodes.range(of: ["b", "c"]) == "b,c")
    #expect(nodes.range(of: ["a"]) == "a")
  }

  @Test func `a command is printed so that a shell splits it into its arguments`() throws {
    let plain = try NodesetArguments(range: "n1-n3,x", image: "rhels8.5.0-x86_64-netboot-compute")
    #expect(plain.arguments == ["n1-n3,x", "osimage=rhels8.5.0-x86_64-netboot-compute"])
    #expect(plain.text == "nodeset n1-n3,x osimage=rhels8.5.0-x86_64-netboot-compute")
    #expect(try NodesetArguments(range: "n", image: "a$b;c").text == "nodeset n 'osimage=a$b;c'")
    for (range, image) in [
      ("", "img"), ("-V", "img"), ("n1,-V", "img"), ("n;x", "img"), ("n 1", "img"), ("n1,", "img"),
      ("n1", "a b"), ("n1", "a,b"), ("n1", "-x"), ("n1", "a'b"), ("n1", "a|b"), ("n1", ""),
    ] {
      #expect(throws: XCATError.self, "\(range) \(image)") {
        try NodesetArguments(range: range, image: image)
      }
    }
    let many = (0..<30_000).map { "node\($0 * 2)x" }.joined(separator: ",")
    let parts = try NodesetArguments(range: many, image: "img").parts()
    #expect(parts.count > 1)
    #expect(parts.map(\.range).joined(separator: ",") == many)
    #expect(parts.allSatisfy { $0.range.utf8.count <= 100_000 })
  }

  static let kinds: [([String: String], [String])] = [
    (["provmethod": "netboot"], ["kernel", "initrd-stateless.gz", "hypervisor"]),
    (["provmethod": "statelite"], ["kernel", "initrd-statelite.gz", "hypervisor"]),
    (
      ["provmethod": "statelite", "rootfstype": "ramdisk"],
      ["kernel", "initrd-stateless.gz", "hypervisor"]
    ),
    (
      ["provmethod": "statelite", "rootfstype": "ramdisk", "osvers": "sles15.3"],
      ["kernel", "initrd-statelite.gz", "hypervisor"]
    ),
    (["provmethod": "install"], []), (["provmethod": "sysclone"], []), ([:], []),
  ]

  @Test(arguments: kinds)
  func `the boot files to copy depend on the kind of image`(
    _ osimage: [String: String], _ names: [String]
  ) throws {
    let definition = ImageDefinition(osimage: osimage, linuximage: ["rootimgdir": "/i/x"])
    let files = BootFiles.copied(
      of: definition, installDirectory: try #require(AbsolutePath("/install")))
    #expect(files.map(\.copyName) == names)
    #expect(files.first?.sources.map(\.text) == (names.isEmpty ? nil : ["/i/x/kernel"]))
  }
}
