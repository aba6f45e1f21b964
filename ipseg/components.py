"""Where each exchangeable part lives: `kind` in a profile -> class.

The class is a dataclass whose fields are its settings. It is imported only when a profile asks for
it, so that a profile without learned weights never imports torch. A kind of one's own is written
`package.module:Class`.
"""

from __future__ import annotations

from importlib import import_module

DEFAULT_PROFILE = "classical"  # of every command: it needs no download

SALIENCY = {
    "classical": "ipseg.saliency.classical:ClassicalSaliency",
    "cornet": "ipseg.saliency.cornet:CorNetSaliency",
    "tokencut": "ipseg.saliency.tokencut:TokenCut",
    "birefnet": "ipseg.saliency.birefnet:BiRefNetSaliency",
}
FEATURES = {
    "classical": "ipseg.features.classical:ClassicalDescriptors",
    "sift": "ipseg.features.sift:SiftGeometry",
    "dinov2": "ipseg.features.dinov2:Dinov2",
    "dinov3": "ipseg.features.vits:Dinov3",
    "clip": "ipseg.features.vits:Clip",
    "mae": "ipseg.features.vits:Mae",
    "stable_diffusion": "ipseg.features.stable_diffusion:StableDiffusion",
}
SEGMENTERS = {
    "classical": "ipseg.segmenters.classical:ClassicalSegmenter",
    "segment_anything": "ipseg.segmenters.segment_anything:SegmentAnything",
    "hf_sam": "ipseg.segmenters.hf_sam:HFSam",
}
COUNTERS = {
    "correlation": "ipseg.counters.correlation:Correlation",
    "dsalvanet": "ipseg.counters.dsalvanet:DSALVANet",
    "countr": "ipseg.counters.countr:CounTR",
}
DETECTORS = {
    "grounding_dino": "ipseg.detectors.grounding_dino:GroundingDino",
}
LABELLERS = {
    "vip_llava": "ipseg.labellers.vip_llava:VipLlava",
}
METHODS = {
    "gf-sam": "ipseg.methods.gf_sam.method:GFSAMMethod",
    "ipseg": "ipseg.methods.ipseg.method:IPSeg",
    "matcher": "ipseg.methods.matcher.method:MatcherMethod",
    "matcher-video": "ipseg.methods.matcher.video:MatcherVideo",
    "persam": "ipseg.methods.persam.method:PerSAMMethod",
    "persam-f": "ipseg.methods.persam.method:PerSAMFMethod",
    "persense": "ipseg.methods.persense.method:PerSenseMethod",
    "sine": "ipseg.methods.sine.method:SineMethod",
    "sine-video": "ipseg.methods.sine.video:SineVideo",
    "insid3": "ipseg.methods.insid3.method:INSID3",
    "foris": "ipseg.methods.foris.method:FoRIS",
    "no-time-to-train": "ipseg.methods.no_time_to_train.method:NoTimeToTrain",
    "seggpt": "ipseg.methods.seggpt.method:SegGPTMethod",
    "sam3": "ipseg.methods.sam3.method:Sam3Method",
    "grounded-sam": "ipseg.methods.grounded_sam.method:GroundedSamMethod",
    "groupvit": "ipseg.methods.groupvit.method:GroupViTMethod",
}
BENCHMARKS = {
    "folder": "ipseg.benchmarks.datasets.folder:FolderBenchmark",
    "ipseg-layout": "ipseg.benchmarks.datasets.ipseg_layout:IpsegLayoutBenchmark",
    "crowds": "ipseg.benchmarks.datasets.crowds:CrowdsBenchmark",
    "perseg": "ipseg.benchmarks.datasets.perseg:PersegBenchmark",
    "persense-d": "ipseg.benchmarks.datasets.persense:PersenseBenchmark",
    "coco-20i": "ipseg.benchmarks.datasets.coco20i:Coco20iBenchmark",
    "fss-1000": "ipseg.benchmarks.datasets.fss1000:Fss1000Benchmark",
    "pascal-5i": "ipseg.benchmarks.datasets.pascal5i:Pascal5iBenchmark",
    "lvis-92i": "ipseg.benchmarks.datasets.lvis92i:Lvis92iBenchmark",
    "pascal-part": "ipseg.benchmarks.datasets.pascal_part:PascalPartBenchmark",
    "paco-part": "ipseg.benchmarks.datasets.paco_part:PacoPartBenchmark",
    "davis-2017": "ipseg.benchmarks.datasets.davis2017:Davis2017Benchmark",
    "davis-2016": "ipseg.benchmarks.datasets.davis2017:Davis2016Benchmark",
    "youtube-vos": "ipseg.benchmarks.datasets.youtube_vos:YoutubeVosBenchmark",
    "coco-stuff": "ipseg.benchmarks.datasets.coco_stuff:CocoStuffBenchmark",
    "pascal-voc": "ipseg.benchmarks.datasets.pascal_zero_shot:PascalVocBenchmark",
    "pascal-context": "ipseg.benchmarks.datasets.pascal_zero_shot:PascalContextBenchmark",
}
# Those of instances are measured by COCO's average precision, not by episodes.
INSTANCE_BENCHMARKS = {
    "coco-novel": "ipseg.benchmarks.datasets.coco_novel:CocoNovelBenchmark",
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
