"""Run by Blender's Python: installs an extension as a person does, makes an object with it and tells what is there."""

import json
import sys
import tempfile
import time
from pathlib import Path

import bpy


def by_timer(operators, asked) -> str:
    """Makes another one as with a window, where a timer looks whether it is there; gives what the panel says then."""
    path = Path(tempfile.mkdtemp(dir=bpy.app.tempdir)) / "object.glb"
    operators.At.thread = operators.ObjectThread(operators.BUNDLE, asked, path)
    operators.At.thread.start()
    while (seconds := operators.look_again()) is not None:
        time.sleep(seconds)
    return operators.At.said


extension, name, asked = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.extensions.package_install_files(filepath=extension, repo="user_default", enable_on_install=True)
module = sys.modules[f"bl_ext.user_default.t3export_{name}"]
missing = module.packages.missing()
told = {"missing": missing, "pip": module.packages.pip_command(), "torch": "torch" in sys.modules}
if not missing:
    settings = getattr(bpy.context.scene, f"t3export_{name}")
    for field, value in asked.items():
        setattr(settings, field, value)
    bpy.context.scene.cursor.location = (3.0, 0.0, 0.0)
    try:
        told["ended"] = sorted(getattr(bpy.ops.t3export, f"generate_{name}")())
    except RuntimeError as error:
        told["error"] = str(error)
    told["objects"] = [
        {
            "name": one.name,
            "location": list(one.matrix_world.translation),
            "size": list(one.dimensions),
            "triangles": len(one.data.polygons),
            "textures": [
                node.image.size[0]
                for slot in one.material_slots
                for node in slot.material.node_tree.nodes
                if node.type == "TEX_IMAGE" and node.image
            ],
        }
        for one in bpy.data.objects
        if one.type == "MESH"
    ]
    told["torch"] = "torch" in sys.modules
    told["by_timer"] = by_timer(module.operators, settings.asked())
    told["meshes"] = sum(one.type == "MESH" for one in bpy.data.objects)
    bpy.ops.preferences.addon_disable(module="io_scene_gltf2")
    told["without_importer"] = by_timer(module.operators, settings.asked())
    told["idle"] = module.operators.At.thread is None
    from numpy import __version__

    told["numpy"] = __version__
bpy.ops.preferences.addon_disable(module=f"bl_ext.user_default.t3export_{name}")
print("TOLD", json.dumps(told))
