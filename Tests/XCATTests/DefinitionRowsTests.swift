// Provisioning methods, and the columns of a definition.

import Testing
import XCAT

@Suite struct DefinitionRowsTests {
  @Test(arguments: [
    ("netboot", ProvisioningMethod.netboot), ("statelite", .statelite), ("install", .install),
    ("sysclone", .sysclone), ("raw", .raw), ("boottarget", .boottarget), ("", .other("")),
    ("Netboot", .other("Netboot")), ("netboot ", .other("netboot ")),
  ])
  func `a provisioning method has the text of its column`(
    text: String, method: ProvisioningMethod
  ) {
    #expect(ProvisioningMethod(text) == method)
    #expect(method.text == text)
  }

  @Test func `only netboot and statelite are diskless, and other values may mention them`() {
    #expect(ProvisioningMethod.allCases.filter(\.isDiskless) == [.netboot, .statelite])
    #expect(!ProvisioningMethod("netboot2").isDiskless)
    #expect(ProvisioningMethod("netboot2").mentions(.netboot))
    #expect(!ProvisioningMethod("").mentions(.netboot))
  }

  @Test func `a definition and its manifest have the same columns`() {
    let osimage = [
      "provmethod": "statelite", "profile": "p", "osvers": "rhels9", "osarch": "x86_64",
      "groups": "a,b", "rootfstype": "ramdisk", "kitcomponents": "k1,k2", "environvar": "A=b,C=d",
    ]
    let linuximage = ["rootimgdir": "/d", "pkgdir": "/m,/n", "exlist": "/x,/y"]
    func check(_ rows: some DefinitionRows) {
      #expect(rows.provisioning == .statelite && rows.profile == "p")
      #expect(rows.osVersion == "rhels9" && rows.architecture == "x86_64")
      #expect(rows.groups == "a,b" && rows.rootFileSystem == "ramdisk")
      #expect(rows.kitComponentNames == ["k1", "k2"] && rows.environmentItems == ["A=b", "C=d"])
      #expect(rows.rootImageDirectory == "/d" && rows.packageDirectories == ["/m", "/n"])
      #expect(rows.items(of: "exlist") == ["/x", "/y"])
      #expect(rows.otherPackageDirectories == nil && rows.template == nil && rows.bootTarget == nil)
      #expect(rows.osName == "" && rows.imageType == "")
    }
    check(ImageDefinition(osimage: osimage, linuximage: linuximage))
    check(Manifest(osimage: osimage, linuximage: linuximage))
  }
}
