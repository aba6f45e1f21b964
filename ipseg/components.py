"""Where each exchangeable part lives: `kind` in a profile -> class.

The class is a dataclass whose fields are its settings. It is imported only when a profile asks for
it, so that a profile without learned weights never imports torch. A kind of one's own is written
`package.module:Class`.
"""

from __future__ import annotations

from importlib import import_module

SALIENCY = {
    "classical": "ipseg.saliency.classical:ClassicalSaliency",
    "cornet": "ipseg.saliency.cornet:CorNetSaliency",
    "tokencut": "ipseg.saliency.tokencut:TokenCut",
}
FEATURES = {
    "classical": "ipseg.features.classical:ClassicalDescriptors",
    "sift": "ipseg.features.sift:SiftGeometry",
    "dinov2": "ipseg.features.dinov2:Dinov2",
    "dinov3": "ipseg.features.dinov3:Dinov3",
    "clip": "ipseg.features.clip:Clip",
    "mae": "ipseg.features.mae:Mae",
    "stable_diffusion": "ipseg.features.stable_diffusion:StableDiffusion",
}
SEGMENTERS = {
    "classical": "ipseg.segmenters.classical:ClassicalSegmenter",
    "segment_anything": "ipseg.segmenters.segment_anything:SegmentAnything",
    "hf_sam": "ipseg.segmenters.hf_sam:HFSam",
}
METHODS = {"ipseg": "ipseg.methods.ipseg.method:IPSeg"}
BENCHMARKS = {
    "folder": "ipseg.benchmarks.folder:FolderBenchmark",
    "ipseg-layout": "ipseg.benchmarks.ipseg_layout:IpsegLayoutBenchmark",
    "perseg": "ipseg.benchmarks.perseg:PersegBenchmark",
    "persense-d": "ipseg.benchmarks.persense:PersenseBenchmark",
    "coco-20i": "ipseg.benchmarks.coco20i:Coco20iBenchmark",
    "fss-1000": "ipseg.benchmarks.fss1000:Fss1000Benchmark",
    "pascal-5i": "ipseg.benchmarks.pascal5i:Pascal5iBenchmark",
    "lvis-92i": "ipseg.benchmarks.lvis92i:Lvis92iBenchmark",
    "pascal-part": "ipseg.benchmarks.pascal_part:PascalPartBenchmark",
    "paco-part": "ipseg.benchmarks.paco_part:PacoPartBenchmark",
    "davis-2017": "ipseg.benchmarks.davis2017:Davis2017Benchmark",
    "coco-stuff": "ipseg.benchmarks.coco_stuff:CocoStuffBenchmark",
    "pascal-voc": "ipseg.benchmarks.pascal_zero_shot:PascalVocBenchmark",
    "pascal-context": "ipseg.benchmarks.pascal_zero_shot:PascalContextBenchmark",
}


def load_class(location: str) -> type:
    """The class at 'package.module:Name'.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such name.
        TypeError: it is not a class.
    """
    module, name = location.split(":")
    found = getattr(import_module(module), name)
    if not isinstance(found, type):
        raise TypeError(f"{location} is not a class")
    return found
