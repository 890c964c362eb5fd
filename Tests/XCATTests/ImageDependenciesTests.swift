// The dependencies of an image, on file systems made of dictionaries and on the fixtures' node.

import Foundation
import Platform
import TestSupport
import Testing
import XCAT

/// A file system of a few files.
private struct Files {
  var contents: [AbsolutePath: [UInt8]] = [:]
  var unreadable: Set<AbsolutePath> = []

  init(_ texts: [String: String]) throws {
    for (path, text) in texts {
      contents[try #require(AbsolutePath(path))] = Array(text.utf8)
    }
  }

  var view: FileProvider {
    let files = self
    func kind(_ path: AbsolutePath) -> FileProvider.Kind {
      if files.contents[path] != nil { return .file }
      return files.contents.keys.contains { $0.isInside(path) } ? .directory : .absent
    }
    return FileProvider(
      kind: { kind($0) },
      read: { path in
        if files.unreadable.contains(path) {
          throw SystemError(code: .accessDenied, "read", path.bytes)
        }
        return files.contents[path]
      },
      list: { directory in
        Array(
          Set(
            files.contents.keys.filter { $0.isInside(directory) && $0 != directory }.map {
              $0.components[directory.components.count]
            }))
      })
  }

  func dependencies(osimage: [String: String] = [:], linuximage: [String: String] = [:]) throws
    -> ImageDependencies
  {
    ImageDependencies(
      of: ImageDefinition(osimage: osimage, linuximage: linuximage),
      installDirectory: try #require(AbsolutePath("/install")), in: view)
  }
}

extension ImageDependencies {
  /// Returns "role path" lines, sorted.
  fileprivate var summary: [String] { needed.map { "\($0.role) \($0.path.text)" }.sorted() }
  fileprivate var kinds: [DependencyProblem.Kind] { problems.map(\.kind) }
  fileprivate var texts: [String] { problems.map { $0.error.messageWithHint } }
}

@Suite struct ImageDependenciesTests {
  // MARK: Includes

  @Test func `includes are followed, relative to the top list's directory`() throws {
    let dependencies = try Files([
      "/c/a.pkglist": "bash\r\n#INCLUDE:sub/b.pkglist#\r\n# #INCLUDE:comment.pkglist#\nvim\n",
      // Relative to /c, not to /c/sub; ".." stays below the root.
      "/c/sub/b.pkglist":
        "#INCLUDE:d.pkglist#\n  #INCLUDE:/e/../e/./f.pkglist#\n@group #INCLUDE:g#",
      "/c/d.pkglist": "x\u{7f}\n", "/e/f.pkglist": "", "/c/g": "",
      "/c/o.pkglist": "#NEW_INSTALL_LIST#\n#INCLUDE:${where}/$what.pkglist#\n",
      "/v/w.pkglist": "",
    ]).dependencies(
      osimage: ["environvar": "where=/v, what = w"],
      linuximage: ["pkglist": "/c/a.pkglist", "otherpkglist": "/c/o.pkglist"])
    #expect(
      dependencies.summary == [
        "include /c/d.pkglist", "include /c/g", "include /c/sub/b.pkglist", "include /e/f.pkglist",
        "include /v/w.pkglist",
      ])
    #expect(dependencies.texts == [])
    #expect(dependencies.needed.first?.referrer == "list /c/a.pkglist")
  }

  @Test func `includes in comments of an exlist count, and variables in it do not`() throws {
    let dependencies = try Files([
      "/c/a.exlist":
        "./usr*\n# see #INCLUDE:b.exlist# and #INCLUDE:$x#\n#INCLUDE:no\n#INCLUDE:^#\n",
      "/c/b.exlist": "", "/c/$x": "",
    ]).dependencies(osimage: ["environvar": "x=y"], linuximage: ["exlist": "/c/a.exlist"])
    #expect(dependencies.summary == ["include /c/$x", "include /c/b.exlist"])
    #expect(dependencies.texts == [])
  }

  @Test func `a template includes files in five spellings, with environment variables`() throws {
    let dependencies = try Files([
      "/t/a.tmpl": """
      #INCLUDE:#ENV:XCATROOT#/share/pre# and #INCLUDE_NOP:#ENV:$INSTALLDIR#/nop#
      # #INCLUDE_PKGLIST:p#
      <x>#INCLUDE_PTRNLIST:q#</x>#INCLUDE_RMPKGLIST:r#
      #INCLUDE_DEFAULT_PKGLIST#
      #INCLUDE:#ENV:XCATMASTER#/late#
      #INCLUDE:/install/#ENV:NODE#/late#
      #TABLE:site:key=master:value#
      """,
      "/opt/xcat/share/pre": "", "/install/nop": "", "/t/p": "#INCLUDE:s#", "/t/q": "", "/t/r": "",
      "/t/s": "", "/l/a.pkglist": "#INCLUDE:s#", "/l/s": "",
    ]).dependencies(linuximage: ["template": "/t/a.tmpl", "pkglist": "/l/a.pkglist"])
    #expect(
      dependencies.summary == [
        "include /install/nop", "include /l/s", "include /opt/xcat/share/pre", "include /t/p",
        "include /t/q", "include /t/r", "include /t/s",
      ])
    #expect(dependencies.kinds == [.unresolved, .unresolved])
    #expect(dependencies.needed.filter(\.isFromXCAT).map(\.path.text) == ["/opt/xcat/share/pre"])
  }

  @Test func `cyclic, missing, unreadable and malformed includes are reported`() throws {
    var files = try Files([
      "/c/self": "#INCLUDE:self#", "/c/a": "#INCLUDE:b#", "/c/b": "#INCLUDE:./a#\n#INCLUDE:b2#",
      "/c/b2": "", "/c/m": "#INCLUDE:gone#\n#INCLUDE:$unknown/x#\n#INCLUDE:/c#", "/c/locked": "",
    ])
    files.unreadable = [try #require(AbsolutePath("/c/locked"))]
    let dependencies = try files.dependencies(
      linuximage: ["pkglist": "/c/self,/c/a, /c/m", "exlist": "/c/locked,/c/none,relative"])
    #expect(dependencies.summary == ["include /c/b", "include /c/b2"])
    #expect(
      dependencies.kinds == [
        .cycle, .cycle, .missing, .unresolved, .missing, .unresolved, .unreadable, .missing,
      ], "\(dependencies.texts)")
    #expect(dependencies.texts[0].contains("/c/self -> /c/self"))
    #expect(dependencies.texts[1].contains("/c/a -> /c/b -> /c/a"))
    for text in dependencies.texts {
      #expect(!text.contains("\u{0}") && !text.hasSuffix("."), "\(text)")
    }
  }

  @Test func `a list that two lists include is listed once and not reported as a cycle`() throws {
    let dependencies = try Files([
      "/c/a": "#INCLUDE:b#\n#INCLUDE:d#\n#INCLUDE:a2#", "/c/b": "#INCLUDE:d#", "/c/d": "",
      "/c/a2": "",
    ]).dependencies(linuximage: ["exlist": "/c/a,/c/a2"])
    #expect(dependencies.summary == ["include /c/b", "include /c/d"])
    #expect(dependencies.texts == [])
  }

  @Test func `a long chain of includes is cut off`() throws {
    var texts: [String: String] = [:]
    for i in 0..<200 { texts["/c/\(i)"] = "#INCLUDE:\(i + 1)#\n#INCLUDE:\(i + 2)#" }
    let dependencies = try Files(texts).dependencies(linuximage: ["pkglist": "/c/0"])
    #expect(dependencies.kinds.contains(.tooMuch))
    #expect((64...200).contains(dependencies.needed.count))
  }

  @Test func `a list full of errors reports a bounded number of problems, each once`() throws {
    let lines = (0..<5000).map { "#INCLUDE:gone\($0 % 2500)#\n" }.joined()
    let few = try Files(["/c/a": "#INCLUDE:x#\n#INCLUDE:x#"]).dependencies(linuximage: [
      "exlist": "/c/a"
    ]
    )
    #expect(few.kinds == [.missing])
    let many = try Files(["/c/a": lines]).dependencies(linuximage: ["exlist": "/c/a"])
    #expect(many.problems.count == 1001 && many.kinds.last == .tooMuch)
  }

  @Test func `paths that are not UTF-8 are kept unchanged`() throws {
    var files = try Files([:])
    let list = try #require(AbsolutePath("/c/a"))
    let odd = try #require(AbsolutePath(Array("/c/".utf8) + [0xff, 0xfe]))
    files.contents[list] = [0x80, 0x0a] + Array("#INCLUDE:".utf8) + [0xff, 0xfe, 0x23, 0x00]
    files.contents[odd] = [0xc3]
    let dependencies = try files.dependencies(linuximage: ["exlist": "/c/a"])
    #expect(dependencies.needed.map(\.path) == [odd])
    #expect(dependencies.texts == [])
  }

  // MARK: Attributes

  @Test func `partition files, drivers and scripts are found in all their forms`() throws {
    let dependencies = try Files([
      "/p/1": "#INCLUDE:inc#", "/p/2": "", "/p/3": "", "/p/4": "", "/p/5": "", "/p/6": "",
      "/t/a.tmpl": "", "/t/inc": "", "/d/1.img": "", "/d/2.rpm": "", "/d/3.rpm": "", "/s/post": "",
      "/s/plain": "", "/install/postscripts/one": "", "/install/postscripts/sub/two": "",
      "/install/postscripts/three": "", "/k/vmlinuz": "", "/cfm/etc/hosts": "",
    ]).dependencies(
      osimage: [
        "postscripts": "one a b, sub/two,none,../../etc/shadow", "postbootscripts": "one,three -x",
        "cfmdir": "/cfm",
      ],
      linuximage: [
        "template": "/t/a.tmpl", "partitionfile": "/p/1,s:/p/2,d:/p/3,s:d:/p/4,c:/p/5,s:c:/p/6,s:",
        "driverupdatesrc": "dud:/d/1.img,RPM:/d/2.rpm,/d/3.rpm,dud:/d/4",
        "postinstall": "/s/post a b,/s/plain", "kerneldir": "/k",
        "pkgdir": "/install/rhels9/x86_64, http://mirror/rhel", "otherpkgdir": "/install/other",
      ])
    #expect(
      dependencies.summary == [
        "cfmDirectory /cfm", "driverUpdate /d/1.img", "driverUpdate /d/2.rpm",
        "driverUpdate /d/3.rpm", "include /t/inc", "kernelDirectory /k", "partitionFile /p/1",
        "partitionFile /p/2", "partitionFile /p/3", "partitionFile /p/4", "partitionFile /p/5",
        "partitionFile /p/6", "postbootscript /install/postscripts/three", "postinstall /s/post",
        "postscript /install/postscripts/one", "postscript /install/postscripts/sub/two",
      ])
    #expect(dependencies.needed.filter(\.isDirectory).map(\.path.text) == ["/k", "/cfm"])
    #expect(dependencies.kinds == [.unresolved, .missing, .missing, .unresolved])
    #expect(
      dependencies.media.map { "\($0.attribute) \($0.location)" } == [
        "pkgdir /install/rhels9/x86_64", "pkgdir http://mirror/rhel", "otherpkgdir /install/other",
      ])
  }

  @Test func `packed image, RAM disk or root tree are taken from the boot directory`() throws {
    let files = try Files([
      "/b/rootimg/etc/passwd": "", "/b/kernel": "", "/b/initrd-stateless.gz": "",
      "/b/hypervisor": "",
      "/b/rootimg-statelite.gz": "",
    ])
    func summary(_ method: String, _ type: String) throws -> [String] {
      let dependencies = try files.dependencies(
        osimage: ["provmethod": method, "rootfstype": type], linuximage: ["rootimgdir": "/b"])
      #expect(dependencies.texts == [])
      return dependencies.summary
    }
    #expect(try summary("netboot", "") == ["hypervisor /b/hypervisor", "rootTree /b/rootimg"])
    #expect(try summary("statelite", "nfs") == ["hypervisor /b/hypervisor"])
    #expect(
      try summary("statelite", "ramdisk") == [
        "hypervisor /b/hypervisor", "packed /b/rootimg-statelite.gz",
        "ramdisk /b/initrd-stateless.gz",
      ])
    let empty = try Files([:]).dependencies(
      osimage: ["provmethod": "statelite", "rootfstype": "ramdisk"],
      linuximage: ["rootimgdir": "/b"])
    #expect(empty.kinds == [.missing, .missing])
  }

  // MARK: Synclists

  @Test func `the sources, clauses and wildcards of a synclist are dependencies`() throws {
    let dependencies = try Files([
      "/s/a.synclist": """
      # comment /no/1 -> /x\r
      /etc/hosts -> /etc/hosts\r
      /etc/a /etc/b  -> (node1,grp[1-3]) /tmp/\r

      /home/u -> /home/u/
      /tmp/*.conf /tmp/[ab]?/f -> /tmp/
      /tmp/none* -> /x
      /etc/gone -> /etc/gone
      /etc/x->/etc/y
      INCLUDE:/s/b.synclist
      ../up -> /x
      / -> /x
      $base/v -> /v
      EXECUTE:
      /p/one.post\r
      EXECUTEALWAYS:
      /p/always
      APPEND:
      /p/app -> /etc/app
      MERGE:
      /p/passwd -> /etc/passwd
      """,
      "/etc/hosts": "", "/etc/a": "", "/etc/b": "", "/home/u/f": "", "/tmp/1.conf": "",
      "/tmp/2.conf": "", "/tmp/.h.conf": "", "/tmp/a1/f": "", "/tmp/b2/g": "", "/tmp/c3/f": "",
      "/p/one.post": "", "/p/always": "", "/p/app": "", "/p/passwd": "", "/base/v": "",
    ]).dependencies(osimage: ["synclists": "/s/a.synclist", "environvar": "base=/base"])
    #expect(
      dependencies.summary == [
        "syncScript /p/always", "syncScript /p/one.post", "syncSource /base/v", "syncSource /etc/a",
        "syncSource /etc/b", "syncSource /etc/hosts", "syncSource /home/u", "syncSource /p/app",
        "syncSource /p/passwd", "syncSource /tmp/1.conf", "syncSource /tmp/2.conf",
        "syncSource /tmp/a1/f",
      ])
    #expect(
      dependencies.kinds == [.ignored, .ignored, .missing, .missing, .unresolved, .unresolved],
      "\(dependencies.texts)")
    #expect(dependencies.texts[0].contains("line 9") && dependencies.texts[1].contains("line 10"))
    #expect(dependencies.texts[2].contains("none*"))
    let expanded = dependencies.needed.first { $0.path.text == "/tmp/1.conf" }
    #expect(expanded?.referrer == "synclist /s/a.synclist line 6: /tmp/*.conf")
  }

  // MARK: A real node

  @Test(.usesTools) func `the dependencies of the real node's image are found`() throws {
    let directory = try TemporaryDirectory()
    try shell("tar xzf \"$2\" -C \"$1\" --no-same-owner", directory.path, fixture("xcat/mn.tgz"))
    let tables = SQLiteTableBackend(
      KernelFileSystem.shared, directory: Array(directory.path("etc-xcat").utf8), mayCreate: false)
    let name = "rhels8.5.0-x86_64-netboot-compute"
    var definition = try #require(try tables.definition(of: name))
    definition.osimage["postscripts"] = "syslog,myscript1 x"
    func local(_ path: AbsolutePath) -> String { directory.path + path.text }
    let view = FileProvider(
      kind: { path in
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: local(path), isDirectory: &isDirectory) else {
          return .absent
        }
        return isDirectory.boolValue ? .directory : .file
      },
      read: { FileManager.default.contents(atPath: local($0)).map(Array.init) },
      list: {
        try FileManager.default.contentsOfDirectory(atPath: local($0)).map { Array($0.utf8) }
      })
    let dependencies = ImageDependencies(
      of: definition, installDirectory: try #require(AbsolutePath("/install")), in: view)
    #expect(
      dependencies.summary == [
        "postscript /install/postscripts/myscript1", "postscript /install/postscripts/syslog",
        "rootTree /install/netboot/rhels8.5.0/x86_64/compute/rootimg",
      ])
    #expect(
      dependencies.texts.map { String($0.prefix { $0 != " " }) } == [
        "/opt/xcat/share/xcat/netboot/rh/compute.rhels8.x86_64.pkglist", "/etc/hosts",
      ])
    #expect(dependencies.media.map(\.location).first == "/install/rhels8.5.0/x86_64")
  }
}
